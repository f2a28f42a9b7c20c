{{
    config(
        incremental_strategy='replace_monitors',
        indexes=[{'columns': ['monitor', 'column_name'], 'unique': true}]
    )
}}

with

{% for monitor in monitors() -%}
{%- set columns = monitor.columns + [monitor.actual] -%}
{%- set numerical = columns | selectattr('kind', 'equalto', 'numerical') | list -%}
-- The numbers of the version that came first: its bins serve all versions, so that
-- their counts can be added and the figures of different days compared.
{{ monitor.name }}_numbers as (

    select
        numbers.column_name,
        numbers.value

    from {{ baseline_rows(monitor) | indent(4) }}

    cross join lateral (
        values
        {%- for column in numerical %}
        (
            '{{ column.name }}', {{ adapter.quote(column.name) }}::double precision
        ){{ ',' if not loop.last }}
        {%- endfor %}
        {%- if not numerical %}
        (null::text, null::double precision)
        {%- endif %}
    ) as numbers (column_name, value)

    where
        {{ baseline_version_key(monitor) | indent(8) }} = (
            select monitors.reference_version
            from {{ ref('int_monitors') }} as monitors
            where monitors.monitor = '{{ monitor.name }}'
        )
        and {{ is_number('numbers.value') }}
        and {{ rebuilds_baseline(monitor) | indent(8) }}

),

{{ monitor.name }}_distinct as (

    select
        column_name,
        value,
        count(*) as value_count

    from {{ monitor.name }}_numbers

    group by column_name, value

),

{{ monitor.name }}_ranked as (

    select
        column_name,
        value,
        count(*) over (partition by column_name) as distinct_count,
        row_number() over (partition by column_name order by value) as value_rank,
        sum(value_count) over (partition by column_name order by value) - value_count
            as count_below,
        sum(value_count) over (partition by column_name) as total_count

    from {{ monitor.name }}_distinct

),

{{ monitor.name }}_quantile_groups as (

    select
        column_name,
        -- Few values: each starts a bin of its own. Many: fifty bins of equal shares.
        case
            when distinct_count <= 50 then value_rank
            else floor(50 * count_below / total_count)
        end as quantile_group,
        min(value) as edge,
        max(value) as maximum

    from {{ monitor.name }}_ranked

    group by column_name, quantile_group

),

{{ monitor.name }}_edges as (

    select
        '{{ monitor.name }}' as monitor,
        column_name,
        array_agg(edge order by edge) as edges,
        array_agg(maximum order by edge) as bin_maxima,
        max(maximum) as maximum,
        (
            select monitors.definition_hash
            from {{ ref('int_monitors') }} as monitors
            where monitors.monitor = '{{ monitor.name }}'
        ) as definition_hash

    from {{ monitor.name }}_quantile_groups

    group by column_name

),

{% endfor -%}

{{ union_of_monitors('edges', 'baselines') }}

select * from baselines
