{#-
    How many values differ, out of state that adds up: a bitmap in which a value sets
    the bit that its hash chooses, bit i with the chance q^i (1 - q), q = exp(-1/144).
    Two bitmaps are merged by "or", and the number of set bits grows by 144 for each
    factor e of distinct values, whatever their number: probabilistic counting (Flajolet
    & Martin, 1985) on one scale without registers. Its standard error is
    √(ln 2 / 144) = 6.9 %, far less below some dozens of values.

    The first 384 bits, which nine in ten values set, stand apart from the other 2048:
    the bitmap is copied for every row, so a short one costs half as much. That is
    enough for a hundred million distinct values.
-#}
{% macro sketch_density() %}144{% endmacro %}
{% macro sketch_low_bits() %}384{% endmacro %}
{% macro sketch_high_bits() %}2048{% endmacro %}


{#-
    The bit that a value sets, null if it is null: -144 ln(u) for u, evenly distributed
    between 0 and 1, its hash. Equal numbers have equal hashes, also 0 and -0.
-#}
{% macro sketch_position(value, kind) %}
    {{- return(adapter.dispatch('sketch_position', 'driftline')(value, kind)) -}}
{% endmacro %}

{% macro default__sketch_position(value, kind) -%}
    {%- set hash = {
        'numerical': 'hashfloat8extended',
        'categorical': 'hashtextextended',
        'text': 'hashtextextended',
    }[kind] -%}
    {#- 144 ln(2^64), less half a bit since the cast rounds, and never below bit 0. -#}
(
    6387.5445::double precision - {{ sketch_density() }}::double precision * ln(
        {{ hash }}({{ value }}, 0)::double precision
        + 9223372036854777856::double precision
    )
)::integer
{%- endmacro %}


{#- The two bitmaps of a group of rows, each null if no value sets a bit in it. -#}
{% macro sketch_of_low_bits(position) %}
    {{- return(adapter.dispatch('sketch_of_low_bits', 'driftline')(position)) -}}
{% endmacro %}

{% macro default__sketch_of_low_bits(position) -%}
bit_or(
    set_bit(0::bit({{ sketch_low_bits() }}), {{ position }}, 1)
) filter (where {{ position }} < {{ sketch_low_bits() }})
{%- endmacro %}

{% macro sketch_of_high_bits(position) %}
    {{- return(adapter.dispatch('sketch_of_high_bits', 'driftline')(position)) -}}
{% endmacro %}

{% macro default__sketch_of_high_bits(position) -%}
    {%- set width = sketch_high_bits() | int -%}
bit_or(
    set_bit(
        0::bit({{ width }}), {{ position }} - {{ sketch_low_bits() }}, 1
    )
) filter (
    where {{ position }} between {{ sketch_low_bits() }}
        and {{ sketch_low_bits() | int + width - 1 }}
)
{%- endmacro %}


{#- How many bits are set in the union of bitmaps. -#}
{% macro merged_bit_count(low_bits, high_bits) %}
    {%- set implementation = adapter.dispatch('merged_bit_count', 'driftline') -%}
    {{- return(implementation(low_bits, high_bits)) -}}
{% endmacro %}

{% macro default__merged_bit_count(low_bits, high_bits) -%}
coalesce(bit_count(bit_or({{ low_bits }})), 0)
+ coalesce(bit_count(bit_or({{ high_bits }})), 0)
{%- endmacro %}


{#-
    64-bit hash of several values together; equal ones have equal hashes, and nulls are
    equal.
-#}
{% macro row_hash(values) %}
    {{- return(adapter.dispatch('row_hash', 'driftline')(values)) -}}
{% endmacro %}

{% macro default__row_hash(values) -%}
hash_record_extended(row({{ values | join(', ') }}), 0)
{%- endmacro %}


{#- 64-bit hash of a text. -#}
{% macro text_hash(text) %}
    {{- return(adapter.dispatch('text_hash', 'driftline')(text)) -}}
{% endmacro %}

{% macro default__text_hash(text) -%}
hashtextextended({{ text }}, 0)
{%- endmacro %}
