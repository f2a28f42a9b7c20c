{{
    config(
        meta={'family': 'outcomes'},
        indexes=[{
            'columns': [
                'monitor',
                'window_start',
                'grain',
                'model_version',
                'segment',
                'segment_value',
                'loss_bin',
            ],
            'unique': true,
        }]
    )
}}

-- Nothing else would name them if no monitor were of this task:
-- depends_on: {{ ref('int_refresh_windows') }}
-- depends_on: {{ ref('int_baseline_bins') }}

with

{% for monitor in monitors() if monitor.task == 'regression' -%}
{%- set columns = [
    {'name': 'prediction', 'expression': usable_number('prediction') | indent(8)},
    {'name': 'actual', 'expression': usable_number('actual') | indent(8)},
] + segment_values(monitor.segments) -%}
-- Where the coarse bins of the prediction begin, but for the lowest, which is open.
{{ monitor.name }}_edges as (

    select array_agg(lower_bound order by lower_bound) as edges

    from (
        select min(lower_bound) as lower_bound
        from {{ ref('int_baseline_bins') }}
        where
            monitor = '{{ monitor.name }}'
            and column_name = 'prediction'
            and bin >= 0
            and coarse_bin > 0
            and lower_bound is not null
        group by coarse_bin
    ) as coarse_bins

),

{{ monitor.name }}_predictions as (

    {{ monitored_rows(monitor, 'outcomes', columns, include_baseline=true) }}

),

{{ monitor.name }}_errors as (

    select
        *,
        coalesce(
            width_bucket(
                prediction,
                (select known.edges from {{ monitor.name }}_edges as known)
            ),
            0
        ) as loss_bin,
        case
            when abs(prediction - actual) <= 1e-100 then 0
            else abs(prediction - actual)
        end as absolute_error

    from {{ monitor.name }}_predictions

    where prediction is not null

),

{{ monitor.name }}_losses as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        {{ segment_keys(monitor.segments) | indent(8) }},
        loss_bin,
        count(*) as prediction_count,
        count(absolute_error) as labelled_count,
        coalesce(sum(absolute_error), 0) as absolute_error_sum,
        coalesce(
            var_pop(absolute_error) * count(absolute_error), 0
        ) as absolute_error_m2,
        coalesce(
            sum(
                {{ squared('absolute_error') | indent(16) }}
            ) filter (where absolute_error is not null),
            0
        ) as squared_error_sum

    from {{ monitor.name }}_errors

    {{ segment_grouping_sets(
        monitor.segments, ['grain', 'window_start', 'model_version', 'loss_bin']
    ) }}

),

{% endfor -%}

prediction_losses as (

    {{ union_of_task('losses', ['regression'], {
        'monitor': 'text',
        'grain': 'text',
        'window_start': 'timestamptz',
        'model_version': 'text',
        'segment': 'text',
        'segment_value': 'text',
        'loss_bin': 'integer',
        'prediction_count': 'bigint',
        'labelled_count': 'bigint',
        'absolute_error_sum': 'double precision',
        'absolute_error_m2': 'double precision',
        'squared_error_sum': 'double precision',
    }) }}

)

select * from prediction_losses
