{#-
    DDSketch in plain SQL (Masson, Rim & Lee, VLDB 2019): positive numbers fall into
    buckets (γ^(i-1), γ^i] with γ = (1 + α) / (1 - α) and α = 1 %, so any quantile read
    back from the counts is within 1 % of the exact one. Zero and negative numbers share
    one bucket.
-#}
{% macro sketch_bucket(value) -%}
case
    when {{ value }} > 1e-100
        then ceil(ln({{ value }}) / ln(1.01 / 0.99::double precision))::integer
    else {{ sketch_zero_bucket() }}
end
{%- endmacro %}

{% macro sketch_zero_bucket() %}-2147483648{% endmacro %}

{#-
    The value that stands for a bucket: the one with equal relative error to both its
    ends.
-#}
{% macro sketch_value(bucket) -%}
case
    when {{ bucket }} = {{ sketch_zero_bucket() }} then 0
    else 0.99 * power(1.01 / 0.99::double precision, {{ bucket }})
end
{%- endmacro %}
