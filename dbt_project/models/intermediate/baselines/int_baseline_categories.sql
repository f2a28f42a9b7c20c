{{
    config(
        incremental_strategy='replace_monitors',
        indexes=[{
            'columns': ['monitor', 'column_name', 'category_hash'],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
{%- set columns = monitor.columns + [monitor.actual] -%}
{%- set categorical = columns | selectattr('kind', 'equalto', 'categorical') | list -%}
{%- set read_values -%}
    select
        categories.column_name,
        categories.category,
        count(*) filter (
            where {{ baseline_version_key(monitor) | indent(12) }} = (
                select monitors.reference_version
                from {{ ref('int_monitors') }} as monitors
                where monitors.monitor = '{{ monitor.name }}'
            )
        ) as reference_count

    from {{ baseline_rows(monitor) | indent(4) }}

    cross join lateral (
        values
        {%- for column in categorical %}
        (
            '{{ column.name }}', {{ adapter.quote(column.name) }}::text
        ){{ ',' if not loop.last }}
        {%- endfor %}
        {%- if not categorical %}
        (null::text, null::text)
        {%- endif %}
    ) as categories (column_name, category)

    where
        categories.category is not null
        and {{ rebuilds_baseline(monitor) | indent(8) }}

    group by categories.column_name, categories.category
{%- endset -%}
{{ monitor.name }}_read as (

    select *
    from {{ guarded_rows(monitor, 'read_values', {
        'column_name': 'text', 'category': 'text', 'reference_count': 'bigint',
    }, read_values, monitor.baseline.relation) | indent(4) }}

),

-- A row of nulls says that the baseline could not be read.
{{ monitor.name }}_values as (

    select *
    from {{ monitor.name }}_read
    where
        not exists (
            select 1
            from {{ monitor.name }}_read as unread
            where unread.category is null
        )

),

{{ monitor.name }}_ranked as (

    select
        column_name,
        category,
        reference_count,
        row_number() over (
            partition by column_name
            order by reference_count desc, category collate "C"
        ) - 1 as category_rank

    from {{ monitor.name }}_values

),

{{ monitor.name }}_categories as (

    select
        '{{ monitor.name }}' as monitor,
        column_name,
        category,
        -- Text of any length can be a category, but an index entry has its limits.
        md5(category) as category_hash,
        case
            when category_rank < 50 and reference_count > 0 then category_rank
            else {{ other_bin() }}
        end as bin,
        (
            select monitors.definition_hash
            from {{ ref('int_monitors') }} as monitors
            where monitors.monitor = '{{ monitor.name }}'
        ) as definition_hash

    from {{ monitor.name }}_ranked

),

{% endfor -%}

{{ union_of_monitors('categories', 'categories') }}

select * from categories
