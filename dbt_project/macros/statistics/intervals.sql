{#-
    Ends of the 95 % Wilson score interval of a rate (Wilson, JASA 1927). Null where
    nothing was counted.
-#}
{% macro wilson_lower(successes, total) -%}
    {{ wilson_end(successes, total, '-') }}
{%- endmacro %}

{% macro wilson_upper(successes, total) -%}
    {{ wilson_end(successes, total, '+') }}
{%- endmacro %}

{#- 1.96 is the normal quantile of 97.5 %, 3.84 its square. -#}
{% macro wilson_end(successes, total, sign) -%}
case
    when {{ total }} > 0 then least(1, greatest(0, (
        ({{ successes }} + 1.9207294103470627)::double precision / {{ total }}
        {{ sign }} 1.959963984540054 * sqrt(
            {{ successes }}::double precision / {{ total }}
            * ({{ total }} - {{ successes }}) / {{ total }}
            + 0.9603647051735314 / {{ total }}
        ) / sqrt({{ total }}::double precision)
    ) / (1 + 3.8414588206941254 / {{ total }})))
end
{%- endmacro %}


{#-
    End of the 95 % interval of an area under the ROC curve (Hanley & McNeil, Radiology
    1982), within 0 and 1. Null where the area is.
-#}
{% macro hanley_mcneil_end(area, positives, negatives, sign) -%}
case
    when {{ area }} is not null then least(1, greatest(0,
        {{ area }} {{ sign }} 1.959963984540054 * sqrt(greatest(0,
            {{ area }} * (1 - {{ area }})
            + ({{ positives }} - 1)
            * ({{ area }} / (2 - {{ area }}) - power({{ area }}, 2))
            + ({{ negatives }} - 1)
            * (2 * power({{ area }}, 2) / (1 + {{ area }}) - power({{ area }}, 2))
        ) / ({{ positives }} * {{ negatives }}))
    ))
end
{%- endmacro %}
