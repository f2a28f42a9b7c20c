{#-
    Quantile of 99 % of the chi-squared distribution by Wilson and Hilferty's cube (PNAS
    1931), within 1 % of the exact one from 2 degrees of freedom on, 5 % below.
-#}
{% macro chi_squared_99(degrees) -%}
({{ degrees }} * power(
    1 - 2.0 / (9 * {{ degrees }})
    + 2.3263478740408408 * sqrt(2.0 / (9 * {{ degrees }})),
    3
))
{%- endmacro %}


{#-
    Probability of a greater Kolmogorov-Smirnov distance without drift: Kolmogorov's
    limiting distribution at λ = √(n·m/(n+m))·D, by its series
    2·Σ(-1)^(k-1)·exp(-2k²λ²). Below λ = 0.2 it is 1 to twelve digits.
-#}
{% macro kolmogorov_p_value(lambda) %}
    {{- return(adapter.dispatch('kolmogorov_p_value', 'driftline')(lambda)) -}}
{% endmacro %}

{% macro default__kolmogorov_p_value(lambda) -%}
case
    when {{ lambda }} is null then null
    when {{ lambda }} < 0.2 then 1
    else (
        select least(1, greatest(0, sum(
            case when terms.k % 2 = 1 then 2 else -2 end
            * exp(greatest(-600, -2.0 * terms.k * terms.k * power({{ lambda }}, 2)))
        )))
        from generate_series(1, 20) as terms (k)
    )
end
{%- endmacro %}
