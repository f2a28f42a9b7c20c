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
            ],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
{{ column_distinct(monitor, 'columns', monitor.columns) }}

{% endfor -%}

{{ union_of_monitors('distinct', 'column_distinct') }}

select * from column_distinct
