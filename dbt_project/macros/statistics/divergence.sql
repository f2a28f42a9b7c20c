{#-
    Quantile of 99 % of the chi-squared distribution, for 1 to 60 degrees of freedom, to
    twelve digits.
-#}
{% macro chi_squared_99(degrees) -%}
(array[
    6.63489660102, 9.21034037198, 11.3448667301, 13.276704136, 15.0862724694,
    16.8118938298, 18.4753069066, 20.0902350297, 21.6659943335, 23.209251159,
    24.7249703113, 26.2169673055, 27.6882496105, 29.1412377407, 30.5779141669,
    31.9999269088, 33.408663605, 34.8053057347, 36.1908691293, 37.5662347866,
    38.9321726835, 40.2893604376, 41.6383981189, 42.9798201394, 44.3141048962,
    45.6416826663, 46.9629421248, 48.2782357703, 49.5878844729, 50.8921813115,
    52.1913948332, 53.4857718362, 54.7755397601, 56.0609087478, 57.3420734339,
    58.6192145017, 59.8925000451, 61.1620867637, 62.4281210162, 63.6907397516,
    64.9500713352, 66.206236284, 67.4593479223, 68.7095129693, 69.9568320658,
    71.2014002483, 72.4433073765, 73.6826385201, 74.9194743085, 76.153891249,
    77.3859620161, 78.615755715, 79.8433381223, 81.0687719063, 82.2921168292,
    83.513429932, 84.7327657051, 85.9501762451, 87.1657113998, 88.3794189014
]::double precision[])[{{ degrees }}]
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
