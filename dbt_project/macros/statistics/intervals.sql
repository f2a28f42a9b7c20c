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


{#-
    Ends of a 95 % interval of F1 out of hits, actual positives and predicted ones. F1
    is 2q / (1 + q) with q = hits / (hits + misses + false alarms), so it lies between
    what the ends of q's Wilson interval give.
-#}
{% macro f1_end(hits, support, predicted, sign) -%}
{%- set union_count = '(' ~ support ~ ' + ' ~ predicted ~ ' - ' ~ hits ~ ')' -%}
2 - 2 / (1 + {{ wilson_end(hits, union_count, sign) }})
{%- endmacro %}


{#-
    End of the 95 % normal interval of a mean, from the squared deviations from it. Null
    for fewer than two values.
-#}
{% macro mean_end(mean, m2, value_count, sign) -%}
{{ mean }} {{ sign }} 1.959963984540054 * sqrt(
    {{ m2 }} / nullif({{ value_count }} - 1, 0) / {{ value_count }}
)
{%- endmacro %}


{#-
    End of the 95 % interval of a difference of two independent figures out of their own
    intervals: for Wilson's that is Newcombe's hybrid score interval (Statistics in
    Medicine 1998, method 10), in general the method of variance estimates recovery (Zou
    & Donner, Statistics in Medicine 2008).
-#}
{% macro difference_lower(left, right) -%}
{{ left }} - {{ right }} - sqrt(
    {{ squared_side(left ~ ' - ' ~ left ~ '_lower') | indent(4) }}
    + {{ squared_side(right ~ '_upper - ' ~ right) | indent(4) }}
)
{%- endmacro %}

{% macro difference_upper(left, right) -%}
{{ left }} - {{ right }} + sqrt(
    {{ squared_side(left ~ '_upper - ' ~ left) | indent(4) }}
    + {{ squared_side(right ~ ' - ' ~ right ~ '_lower') | indent(4) }}
)
{%- endmacro %}

{#- Like `squared`, but null where there is no such end. -#}
{% macro squared_side(side) -%}
case
    when abs({{ side }}) <= 1e-100 then 0
    else power({{ side }}, 2)
end
{%- endmacro %}
