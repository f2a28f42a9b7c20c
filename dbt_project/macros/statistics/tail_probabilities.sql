{#-
    Probability of a standard normal variable beyond ±z, for z of 0 or more, as 12 digits:
    the integral 2z/π · exp(-z²/2) · ∫ exp(-v²/2) / (z² + v²) dv over v > 0 by the
    midpoint rule, whose error is that of its pole, which is known, and 1e-20 (Matta &
    Reichel, Mathematics of Computation 1971). Postgres has no erf before 16.
-#}
{% macro normal_p_value(z) -%}
case
    when {{ z }} > 38 then 0
    else (
        select
            1.2 / pi() * {{ z }} * exp(-power({{ z }}, 2) / 2)
            * sum(
                exp(-power(steps.middle, 2) / 2)
                / (power({{ z }}, 2) + power(steps.middle, 2))
            )
            + case
                when {{ z }} < 4 then 2 / (1 + exp(2 * pi() * {{ z }} / 0.6))
                else 0
            end
        from (
            select (step + 0.5::double precision) * 0.6 as middle
            from generate_series(0, 15) as steps (step)
        ) as steps
    )
end
{%- endmacro %}


{#-
    Probability of a chi-squared variable above x, for whole degrees of freedom up to 60:
    the normal tail of √x if they are odd, and a finite sum of exp(-x/2) · (x/2)^(d/2 - 1)
    / Γ(d/2) over every second degree d (Abramowitz & Stegun, 26.4.4 and 26.4.5).
-#}
{% macro chi_squared_p_value(chi_squared, degrees) -%}
{#- Γ(1/2), Γ(1), and so on by halves. -#}
{%- set gammas = [1.772453850905516, 1.0] -%}
{%- for degree in range(1, 59) -%}
    {%- do gammas.append(gammas[degree - 1] * degree / 2) -%}
{%- endfor -%}
case
    when {{ chi_squared }} is null or {{ degrees }} is null then null
    when {{ chi_squared }} <= 0 or {{ degrees }} < 1 then 1
    else least(1, (
        select
            case
                when {{ degrees }} % 2 = 0 then 0
                else {{ normal_p_value(
                    'sqrt(' ~ chi_squared ~ ')'
                ) | indent(16) }}
            end
            + coalesce(sum(exp(greatest(
                -600,
                (terms.degree / 2::double precision - 1) * ln({{ chi_squared }} / 2)
                - {{ chi_squared }} / 2
                - ln(terms.gamma)
            ))), 0)
        from (
            values
            {%- for degree in range(2, 61) %}
            ({{ degree }}, {{ gammas[degree - 1] }}::double precision)
            {{- ',' if not loop.last }}
            {%- endfor %}
        ) as terms (degree, gamma)
        where
            terms.degree <= {{ degrees }}
            and terms.degree % 2 = {{ degrees }} % 2
    ))
end
{%- endmacro %}


{#-
    Probability of Student's t beyond ±t, for t of 0 or more and 1 or more degrees of
    freedom, whole or not, within 1e-10 of the probability: that of the normal
    variable over all its variances gives
    2/π · ∫ (1 + t²/(ν·sin²θ))^(-ν/2) dθ over the first quadrant (Craig's formula), by
    the midpoint rule in y, sinh y = cot θ / √(1 + ν/t²), about 20 points for 30 or
    more degrees of freedom and 100 for one.
-#}
{% macro student_p_value(t, degrees) -%}
case
    when {{ t }} is null or {{ degrees }} is null then null
    else (
        select least(
            1,
            2 / pi() * widths.width * {{ t }} * sqrt({{ degrees }} + power({{ t }}, 2))
            * sum(
                exp(greatest(
                    -600,
                    -({{ degrees }} - 1) * ln(cosh(steps.middle))
                    - {{ degrees }} / 2 * ln(1 + power({{ t }}, 2) / {{ degrees }})
                ))
                / (
                    power({{ t }}, 2)
                    + ({{ degrees }} + power({{ t }}, 2))
                    * power(sinh(steps.middle), 2)
                )
            )
            + case
                when
                    atan({{ t }} / sqrt({{ degrees }})) < 5 * widths.width
                    then 2 / (
                        1 + exp(
                            2 * pi() * atan({{ t }} / sqrt({{ degrees }}))
                            / widths.width
                        )
                    )
                else 0
            end
        )
        from (
            select 1 / sqrt(20 + 2.8 * {{ degrees }}) as width
        ) as widths
        cross join lateral (
            select (step + 0.5::double precision) * widths.width as middle
            from generate_series(
                0,
                ceil(
                    least(
                        (41 + 0.6931471805599453 * {{ degrees }}) / ({{ degrees }} + 1),
                        12 / sqrt({{ degrees }})
                        + case when {{ degrees }} < 60 then 41 else 0 end
                    ) / widths.width
                )::integer
            ) as numbered (step)
        ) as steps
        group by widths.width
    )
end
{%- endmacro %}
