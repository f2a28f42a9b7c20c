{%- set window_keys = [
    'monitor',
    'model_version',
    'segment',
    'segment_value',
    'grain',
    'window_start',
    'window_end',
] -%}
{%- set figures = ['precision', 'recall', 'f1'] -%}
{{
    config(
        meta={'family': 'outcomes'},
        pre_hook='{{ plan_as_written() }}',
        indexes=[{
            'columns': [
                'monitor',
                'grain',
                'window_start',
                'model_version',
                'segment',
                'segment_value',
                'class',
            ],
            'unique': true,
        }]
    )
}}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

baseline_versions as (

    select
        monitor,
        model_version
    from {{ ref('int_label_stats') }}
    where grain = 'baseline' and segment = 'all'

),

confusion as (

    {{ windows_and_baseline(
        ref('int_confusion_counts'), ['actual', 'predicted', 'outcome_count']
    ) }}

),

outcomes as (

    select
        {{ window_keys | join(',\n        ') }},
        {{ key_text('actual') | indent(8) }} as actual,
        {{ key_text('predicted') | indent(8) }} as predicted,
        outcome_count

    from confusion

    where actual is not null

),

counted as (

    {{ class_counts('outcomes', window_keys) | indent(4) }}

),

class_counts as (

    select
        {{ window_keys | join(',\n        ') }},
        class,
        coalesce(support, 0)::bigint as support,
        coalesce(predicted_count, 0)::bigint as predicted_count,
        coalesce(correct_count, 0)::bigint as correct_count

    from counted

),

class_figures as (

    select
        *,
        correct_count::double precision / nullif(predicted_count, 0) as precision,
        {{ wilson_lower('correct_count', 'predicted_count') | indent(8) }}
            as precision_lower,
        {{ wilson_upper('correct_count', 'predicted_count') | indent(8) }}
            as precision_upper,
        correct_count::double precision / nullif(support, 0) as recall,
        {{ wilson_lower('correct_count', 'support') | indent(8) }} as recall_lower,
        {{ wilson_upper('correct_count', 'support') | indent(8) }} as recall_upper,
        2 * correct_count::double precision / (support + predicted_count) as f1,
        {{ f1_end('correct_count', 'support', 'predicted_count', '-') | indent(8) }}
            as f1_lower,
        {{ f1_end('correct_count', 'support', 'predicted_count', '+') | indent(8) }}
            as f1_upper

    from class_counts

),

baseline_figures as (

    select * from class_figures where grain = 'baseline'

),

beside_baseline as (

    select
        class_figures.monitor,
        class_figures.model_version,
        class_figures.segment,
        class_figures.segment_value,
        class_figures.grain,
        class_figures.window_start,
        class_figures.window_end,
        class_figures.class,
        class_figures.support,
        class_figures.predicted_count,
        class_figures.correct_count,
        {%- for figure in figures %}
        class_figures.{{ figure }},
        class_figures.{{ figure }}_lower,
        class_figures.{{ figure }}_upper,
        {%- endfor %}
        baseline_figures.support as baseline_support,
        {%- for figure in figures %}
        baseline_figures.{{ figure }}
            as baseline_{{ figure }}{{ ',' if not loop.last }}
        {%- endfor %}

    from class_figures

    inner join monitors
        on class_figures.monitor = monitors.monitor

    left join baseline_versions
        on
            class_figures.monitor = baseline_versions.monitor
            and class_figures.model_version = baseline_versions.model_version

    left join baseline_figures
        on
            class_figures.monitor = baseline_figures.monitor
            and coalesce(
                baseline_versions.model_version, monitors.reference_version
            ) = baseline_figures.model_version
            and class_figures.segment = baseline_figures.segment
            and class_figures.segment_value = baseline_figures.segment_value
            and class_figures.class = baseline_figures.class

    where class_figures.grain != 'baseline'

)

select * from beside_baseline
