{{
    config(
        incremental_strategy='replace_rows',
        indexes=[{'columns': ['bit_count'], 'unique': true}]
    )
}}

{%- set density = sketch_density() %}

-- Nothing else orders it after what arrives, and what orchestrates dbt could run it by
-- itself before, apart from the models of the run that it belongs to:
-- depends_on: {{ ref('int_monitors') }}

with

-- Of n values, one at least sets a bit of the chance p with the chance 1 - exp(-np).
-- Over chances that fall by exp(-1/{{ density }}) from bit to bit, the number of set
-- bits is {{ density }} times the integral of (1 - exp(-e^x)) up to
-- ln(n/{{ density }}).
steps as (

    select
        log_load,
        -- Where 1e-300 is nothing beside 1, and what is less stops Postgres.
        1 - exp(-least(exp(log_load - 0.0025), 690)) as slope

    from generate_series(1, 5200) as numbers (step)

    cross join lateral (
        values (-8 + 0.005::double precision * numbers.step)
    ) as loads (log_load)

),

curve as (

    select
        {{ density }} * exp(log_load) as value_count,
        -- Below the first step, the integral is exp(-8).
        {{ density }} * (
            exp(-8::double precision)
            + 0.005::double precision * sum(slope) over (order by log_load)
        ) as bit_count

    from steps

),

segments as (

    select
        value_count,
        bit_count,
        lag(value_count) over (order by bit_count) as previous_value_count,
        lag(bit_count) over (order by bit_count) as previous_bit_count

    from curve

),

-- A step adds less than a bit, so every whole number is passed once.
estimates as (

    select
        floor(bit_count)::bigint as bit_count,
        previous_value_count
        + (value_count - previous_value_count)
        * (floor(bit_count) - previous_bit_count)
        / (bit_count - previous_bit_count) as distinct_count

    from segments

    where floor(bit_count) > floor(previous_bit_count)

)

select * from estimates
