{{
    config(
        meta={'family': 'columns'},
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
{{ column_bins(monitor, 'columns', monitor.columns) }}

{% endfor -%}

{{ union_of_monitors('bins', 'column_bins') }}

select * from column_bins
