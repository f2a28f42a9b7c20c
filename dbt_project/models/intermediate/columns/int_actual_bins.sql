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
                'bin',
            ],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
{{ column_bins(monitor, 'outcomes', [monitor.actual]) }}

{% endfor -%}

{{ union_of_monitors('bins', 'actual_bins') }}

select * from actual_bins
