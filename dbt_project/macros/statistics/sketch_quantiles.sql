{#-
    Quantiles out of sketch buckets: a CTE `quantiles` with one column per name. The
    quantile q of n values is the smallest with at least q·n of them up to it, as
    `percentile_disc` has it.
-#}
{% macro sketch_quantiles(buckets, keys, quantiles) -%}
cumulated as (

    select
        {{ keys | join(',\n        ') }},
        bucket,
        sum(bucket_count) over (
            partition by {{ keys | join(', ') }}
            order by bucket
        ) as count_up_to,
        sum(bucket_count) over (
            partition by {{ keys | join(', ') }}
        ) as total_count

    from {{ buckets }}

),

quantile_buckets as (

    select
        {{ keys | join(',\n        ') }}
        {%- for name, quantile in quantiles.items() %},
        min(bucket) filter (
            where count_up_to >= {{ quantile }} * total_count
        ) as {{ name }}
        {%- endfor %}

    from cumulated

    group by {{ keys | join(', ') }}

),

quantiles as (

    select
        {{ keys | join(',\n        ') }}
        {%- for name in quantiles %},
        {{ sketch_value(name) | indent(8) }} as {{ name }}
        {%- endfor %}

    from quantile_buckets

),
{%- endmacro %}
