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
{{ column_moments(monitor, 'outcomes', [monitor.actual]) }}

{% endfor -%}

{{ union_of_monitors('moments', 'actual_stats') }}

select * from actual_stats
