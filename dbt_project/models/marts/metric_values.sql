{{ config(materialized='view') }}

{#-
    For each mart of figures: what stands in the key besides the window, and how many
    rows a figure rests on, by the beginning of its name. Of a baseline's figure that is
    not known here.
-#}
{%- set marts = {
    'service_health': {
        'column_name': "'all'",
        'sample_counts': {
            'latency_': 'latency_count',
            'slow_': 'latency_count',
            'burn_rate_latency': 'latency_count',
            '': 'request_count',
        },
    },
    'status_codes': {
        'column_name': 'mart.status_code',
        'sample_counts': {'share': '(request_count / share)', '': 'request_count'},
    },
    'burn_rates': {
        'column_name': "mart.slo || ' ' || mart.alert",
        'sample_counts': {
            'short_': 'short_request_count', '': 'long_request_count',
        },
    },
    'data_quality': {
        'column_name': 'mart.column_name',
        'sample_counts': {'baseline_': 'null', '': 'row_count'},
    },
    'model_performance': {
        'column_name': "'all'",
        'sample_counts': {
            'baseline_': 'null',
            'estimated_': 'prediction_count',
            'prediction_count': 'prediction_count',
            'label': 'prediction_count',
            '': 'labelled_count',
        },
    },
    'model_performance_by_class': {
        'column_name': 'mart.class',
        'sample_counts': {
            'baseline_': 'null',
            'precision': 'predicted_count',
            'predicted_count': 'predicted_count',
            '': 'support',
        },
    },
    'fairness': {
        'column_name': 'mart.class',
        'sample_counts': {
            'prediction_count': 'prediction_count',
            'selection_rate': 'prediction_count',
            '': 'labelled_count',
        },
    },
} -%}

with

{% for mart, parts in marts.items() -%}
{{ mart }}_values as (

    select
        mart.monitor,
        mart.model_version,
        mart.segment,
        mart.segment_value,
        mart.grain,
        mart.window_start,
        mart.window_end,
        '{{ mart }}' as family,
        {{ parts.column_name }} as column_name,
        figures.metric,
        figures.value,
        figures.sample_count

    from {{ ref(mart) }} as mart

    cross join lateral (
        values
        {%- for figure in figures_of(mart) %}
        {%- set sample_counts = [] %}
        {%- for beginning, sample_count in parts.sample_counts.items()
            if figure.startswith(beginning) %}
        {%- do sample_counts.append(sample_count) %}
        {%- endfor %}
        (
            '{{ figure }}',
            mart.{{ figure }}::double precision,
            {{ sample_counts[0] }}::bigint
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ) as figures (metric, value, sample_count)

    where figures.value is not null

),

{% endfor -%}

-- A method has a name of its own for what it is compared with and for its engine, but
-- in the plain case.
drift_values as (

    select
        drift.monitor,
        drift.model_version,
        drift.segment,
        drift.segment_value,
        drift.grain,
        drift.window_start,
        drift.window_end,
        'drift' as family,
        drift.column_name,
        case drift.engine when 'sql' then '' else drift.engine || '_' end
        || drift.method
        || case drift.compared_to
            when 'baseline' then ''
            else '_' || drift.compared_to
        end
        || figures.suffix as metric,
        figures.value,
        drift.sample_count

    from {{ ref('drift') }} as drift

    cross join lateral (
        values
        ('', drift.score),
        ('_p_value', drift.p_value),
        ('_p_value_adjusted', drift.p_value_adjusted)
    ) as figures (suffix, value)

    where figures.value is not null

),

metric_values as (
{% for mart in marts %}
    select * from {{ mart }}_values
    union all
{%- endfor %}
    select * from drift_values

)

select * from metric_values
