{#-
    Quantiles of numerical columns out of the counts in their bins: the CTEs `bounded`,
    `cumulated` and `quantiles`, with one column per name. The quantile q of n values is
    the smallest with at least q·n of them up to it, as `percentile_disc` has it. It
    lies in the first bin up to which there are so many, and is interpolated linearly
    between the bin's ends; so it is off by less than that bin is wide.

    A bin reaches from its edge to the next one, the outer ones from and to whatever was
    observed, and none beyond that. Where the baseline has one value only in a bin, as
    in columns of few values, that value is the quantile. Without edges there is none.

    `counts` has bin and bin_count by those keys, `moments` minimum and maximum.
-#}
{% macro binned_quantiles(counts, moments, keys, quantiles) -%}
bounded as (

    select
        counts.{{ keys | join(',\n        counts.') }},
        counts.bin,
        counts.bin_count,
        moments.minimum,
        moments.maximum,
        case
            when counts.bin > cardinality(baselines.edges) then baselines.maximum
            else baselines.edges[counts.bin]
        end as bin_lower,
        case
            when
                counts.bin = cardinality(baselines.edges)
                or baselines.edges[counts.bin] = baselines.bin_maxima[counts.bin]
                then baselines.bin_maxima[counts.bin]
            else baselines.edges[counts.bin + 1]
        end as bin_upper

    from {{ counts }} as counts

    inner join {{ moments }} as moments
        on
            {{ same_keys('counts', 'moments', keys) | indent(12) }}

    inner join baselines
        on
            counts.monitor = baselines.monitor
            and counts.column_name = baselines.column_name

    where counts.bin >= 0

),

cumulated as (

    select
        {{ keys | join(',\n        ') }},
        bin_count,
        -- Null is left out by both.
        least(
            maximum, greatest(minimum, {{ usable_number('bin_lower') | indent(12) }})
        ) as lower_bound,
        greatest(
            minimum, least(maximum, {{ usable_number('bin_upper') | indent(12) }})
        ) as upper_bound,
        sum(bin_count) over (
            partition by
                {{ keys | join(',\n                ') }}
            order by bin
        ) as count_up_to,
        sum(bin_count) over (
            partition by
                {{ keys | join(',\n                ') }}
        ) as total_count

    from bounded

),

quantiles as (

    select
        {{ keys | join(',\n        ') }}
        {%- for name, quantile in quantiles.items() %},
        max(least(
            upper_bound,
            lower_bound + (upper_bound - lower_bound) * (
                {{ quantile }} * total_count - (count_up_to - bin_count)
            )::double precision / bin_count
        )) filter (
            where
                count_up_to >= {{ quantile }} * total_count
                and count_up_to - bin_count < {{ quantile }} * total_count
        ) as {{ name }}
        {%- endfor %}

    from cumulated

    group by
        {{ keys | join(',\n        ') }}

),
{%- endmacro %}
