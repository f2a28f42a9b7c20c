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

{% for monitor in monitors() if monitor.task != 'regression' -%}
{%- set score -%}
case
            when score between 0 and 1
                then {{ usable_number('score') | indent(16) }}
        end
{%- endset -%}
{#- With more than two classes the score is for the predicted one: to be right. -#}
{%- set positive = text_literal(monitor.positive_class or '') -%}
{%- if monitor.task == 'binary' -%}
    {%- set is_positive = 'actual = ' ~ positive -%}
    {%- set predicts_positive = 'prediction = ' ~ positive -%}
{%- else -%}
    {%- set is_positive = 'actual::text = prediction::text' -%}
    {%- set predicts_positive = 'case when prediction is not null then true end' -%}
{%- endif -%}
{%- set columns = [
    {'name': 'score', 'expression': score},
    {'name': 'is_positive', 'expression': is_positive},
    {'name': 'predicts_positive', 'expression': predicts_positive},
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

    where
        score is not null
        {%- if monitor.task == 'multiclass' %}
        and predicts_positive
        {%- endif %}

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
        count(*) filter (where predicts_positive) as predicted_positive_count,
        count(*) filter (where not predicts_positive) as predicted_negative_count,
        count(is_positive) as labelled_count,
        count(*) filter (where is_positive) as positive_count,
        coalesce(
            sum(score) filter (where is_positive is not null), 0
        ) as labelled_score_sum,
        count(*) filter (
            where predicts_positive and is_positive is not null
        ) as labelled_predicted_positive_count,
        count(*) filter (
            where not predicts_positive and is_positive is not null
        ) as labelled_predicted_negative_count,
        count(*) filter (where predicts_positive = is_positive) as correct_count,
        count(*) filter (where predicts_positive and is_positive) as hit_count,
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

    {{ union_of_task('buckets', ['binary', 'multiclass'], {
        'monitor': 'text',
        'grain': 'text',
        'window_start': 'timestamptz',
        'model_version': 'text',
        'segment': 'text',
        'segment_value': 'text',
        'bucket': 'integer',
        'score_count': 'bigint',
        'score_sum': 'double precision',
        'predicted_positive_count': 'bigint',
        'predicted_negative_count': 'bigint',
        'labelled_count': 'bigint',
        'positive_count': 'bigint',
        'labelled_score_sum': 'double precision',
        'labelled_predicted_positive_count': 'bigint',
        'labelled_predicted_negative_count': 'bigint',
        'correct_count': 'bigint',
        'hit_count': 'bigint',
        'squared_miss_sum': 'double precision',
        'log_loss_sum': 'double precision',
    }) }}

)

select * from score_buckets
