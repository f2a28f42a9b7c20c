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
                'column_name',
            ],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
{{ column_distinct(monitor, 'outcomes', [monitor.actual]) }}

{% endfor -%}

{{ union_of_monitors('distinct', 'actual_distinct') }}

select * from actual_distinct
