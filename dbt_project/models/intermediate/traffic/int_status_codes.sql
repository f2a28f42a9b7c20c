{{
    config(
        meta={'family': 'traffic'},
        indexes=[{
            'columns': [
                'monitor',
                'window_start',
                'grain',
                'model_version',
                'segment',
                'segment_value',
                'status_code',
            ],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
-- A text, so that other codes than those of HTTP can stand beside them.
{%- set code = optional_column(monitor, 'status_code', 'text') -%}
{%- set columns = [
    {'name': 'is_error', 'expression': 'is_error'},
    {
        'name': 'status_code',
        'expression': "coalesce(" ~ key_text(code) ~ ", '(none)')" | indent(8),
    },
] + segment_values(monitor.segments) %}
{{ monitor.name }}_requests as (

    {{ monitored_rows(monitor, 'traffic', columns) }}

),

{{ monitor.name }}_codes as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        {{ segment_keys(monitor.segments) | indent(8) }},
        status_code,
        count(*) as request_count,
        count(*) filter (where is_error) as error_count

    from {{ monitor.name }}_requests

    {{ segment_grouping_sets(
        monitor.segments, ['grain', 'window_start', 'model_version', 'status_code']
    ) }}

),

{% endfor -%}

{{ union_of_monitors('codes', 'status_codes') }}

select * from status_codes
