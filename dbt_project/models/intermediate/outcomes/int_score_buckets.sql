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
                'bucket',
            ],
            'unique': true,
        }]
    )
}}

-- Nothing else would name it if no monitor were of this task:
-- depends_on: {{ ref('int_refresh_windows') }}

with

{% for monitor in monitors() if monitor.task == 'binary' -%}
{%- set score -%}
case
            when score between 0 and 1
                then {{ usable_number('score') | indent(16) }}
        end
{%- endset -%}
{%- set is_positive = 'actual = ' ~ text_literal(monitor.positive_class) -%}
{%- set columns = [
    {'name': 'score', 'expression': score},
    {'name': 'is_positive', 'expression': is_positive},
] + segment_values(monitor.segments) -%}
{{ monitor.name }}_scored as (

    {{ monitored_rows(monitor, 'outcomes', columns, include_baseline=true) }}

),

{{ monitor.name }}_losses as (

    select
        *,
        -- 200 equal steps; a score of 1 belongs to the last.
        least(floor(score * 200), 199)::integer as bucket,
        case when is_positive then score else 1 - score end as hit,
        case when is_positive then 1 - score else score end as miss

    from {{ monitor.name }}_scored

    where score is not null

),

{{ monitor.name }}_buckets as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        {{ segment_keys(monitor.segments) | indent(8) }},
        bucket,
        count(*) as score_count,
        sum(score) as score_sum,
        count(is_positive) as labelled_count,
        count(*) filter (where is_positive) as positive_count,
        coalesce(
            sum(
                {{ squared('miss') | indent(16) }}
            ) filter (where is_positive is not null),
            0
        ) as squared_miss_sum,
        -- A certain miss costs as much as the smallest double next to 1 allows (as in
        -- scikit-learn).
        coalesce(
            sum(
                -ln(greatest(hit, 2.220446049250313e-16))
            ) filter (where is_positive is not null),
            0
        ) as log_loss_sum

    from {{ monitor.name }}_losses

    {{ segment_grouping_sets(
        monitor.segments, ['grain', 'window_start', 'model_version', 'bucket']
    ) }}

),

{% endfor -%}

score_buckets as (

    {{ union_of_task('buckets', ['binary'], {
        'monitor': 'text',
        'grain': 'text',
        'window_start': 'timestamptz',
        'model_version': 'text',
        'segment': 'text',
        'segment_value': 'text',
        'bucket': 'integer',
        'score_count': 'bigint',
        'score_sum': 'double precision',
        'labelled_count': 'bigint',
        'positive_count': 'bigint',
        'squared_miss_sum': 'double precision',
        'log_loss_sum': 'double precision',
    }) }}

)

select * from score_buckets
