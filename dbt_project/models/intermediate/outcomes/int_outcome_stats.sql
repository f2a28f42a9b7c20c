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
            ],
            'unique': true,
        }]
    )
}}

-- Nothing else would name it if no monitor were of this task:
-- depends_on: {{ ref('int_refresh_windows') }}

with

{% for monitor in monitors() if monitor.task == 'regression' -%}
{%- set columns = [
    {'name': 'prediction', 'expression': usable_number('prediction') | indent(8)},
    {'name': 'actual', 'expression': usable_number('actual') | indent(8)},
] + segment_values(monitor.segments) -%}
{{ monitor.name }}_outcomes as (

    {{ monitored_rows(monitor, 'outcomes', columns, include_baseline=true) }}

),

{{ monitor.name }}_errors as (

    select
        *,
        -- Twice the largest number is no risk, a difference too small to be squared is.
        case
            when abs(prediction - actual) > 1e-100 then prediction - actual
            else 0
        end as error

    from {{ monitor.name }}_outcomes

    where prediction is not null and actual is not null

),

{{ monitor.name }}_stats as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        {{ segment_keys(monitor.segments) | indent(8) }},
        count(*) as outcome_count,
        avg(error) as error_mean,
        var_pop(error) * count(*) as error_m2,
        avg(abs(error)) as absolute_error_mean,
        var_pop(abs(error)) * count(*) as absolute_error_m2,
        -- Not `avg`, which squares what it averages, and so could overflow.
        sum(
            {{ squared('error') | indent(12) }}
        ) / count(*) as squared_error_mean,
        -- The fourth power of an error above 1e50 may be more than a double holds.
        case
            when max(abs(error)) <= 1e50
                then var_pop(
                    case when abs(error) <= 1e50 then
                        {{ squared('error') | indent(24) }}
                    end
                ) * count(*)
        end as squared_error_m2,
        -- A percentage of nothing is none: rows with an actual of 0 are left out.
        count(*) filter (where abs(actual) > 1e-100) as percentage_count,
        coalesce(
            sum(abs(error / case when abs(actual) > 1e-100 then actual end)), 0
        ) as percentage_error_sum,
        avg(actual) as actual_mean,
        var_pop(actual) * count(*) as actual_m2

    from {{ monitor.name }}_errors

    {{ segment_grouping_sets(
        monitor.segments, ['grain', 'window_start', 'model_version']
    ) }}

),

{% endfor -%}

outcome_stats as (

    {{ union_of_task('stats', ['regression'], {
        'monitor': 'text',
        'grain': 'text',
        'window_start': 'timestamptz',
        'model_version': 'text',
        'segment': 'text',
        'segment_value': 'text',
        'outcome_count': 'bigint',
        'error_mean': 'double precision',
        'error_m2': 'double precision',
        'absolute_error_mean': 'double precision',
        'absolute_error_m2': 'double precision',
        'squared_error_mean': 'double precision',
        'squared_error_m2': 'double precision',
        'percentage_count': 'bigint',
        'percentage_error_sum': 'double precision',
        'actual_mean': 'double precision',
        'actual_m2': 'double precision',
    }) }}

)

select * from outcome_stats
