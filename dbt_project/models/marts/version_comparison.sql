{%- set window_keys = ['monitor', 'grain', 'window_start'] -%}
{{ config(materialized='view') }}

with

monitors as (

    select * from {{ ref('int_monitors') }}

),

performance as (

    select * from {{ ref('int_model_performance') }}
    where segment = 'all' and model_version != 'all' and grain in ('day', 'week')

),

health as (

    select * from {{ ref('service_health') }}
    where segment = 'all' and model_version != 'all' and grain in ('day', 'week')

),

-- The version that came first is the champion of every window that it serves in, so
-- that a challenger stays one while its share of the traffic grows.
versions as (

    select
        monitor,
        model_version,
        row_number() over (
            partition by monitor
            order by min(window_start), sum(request_count) desc, model_version
        ) as seniority

    from health

    where grain = 'day'

    group by monitor, model_version

),

served as (

    select
        health.monitor,
        health.grain,
        health.window_start,
        health.window_end,
        health.model_version,
        first_value(health.model_version) over (
            partition by health.monitor, health.grain, health.window_start
            order by versions.seniority
        ) as champion_version

    from health

    inner join versions
        on
            health.monitor = versions.monitor
            and health.model_version = versions.model_version

),

performance_figures as (

    select
        performance.monitor,
        performance.grain,
        performance.window_start,
        performance.model_version,
        figures.metric,
        figures.is_better_higher,
        performance.outcome_count as sample_count,
        figures.value,
        figures.value_lower,
        figures.value_upper

    from performance

    cross join lateral (
        values
        {%- for figure, is_better_higher in {
            'accuracy': 'true',
            'f1': 'true',
            'roc_auc': 'true',
            'mae': 'false',
        }.items() %}
        (
            '{{ figure }}',
            {{ is_better_higher }},
            performance.{{ figure }},
            performance.{{ figure }}_lower,
            performance.{{ figure }}_upper
        ){{ ',' if not loop.last }}
        {%- endfor %}
    ) as figures (metric, is_better_higher, value, value_lower, value_upper)

),

health_figures as (

    select
        monitor,
        grain,
        window_start,
        model_version,
        'error_rate' as metric,
        false as is_better_higher,
        request_count as sample_count,
        error_count::double precision / nullif(request_count, 0) as value,
        {{ wilson_lower('error_count', 'request_count') | indent(8) }} as value_lower,
        {{ wilson_upper('error_count', 'request_count') | indent(8) }} as value_upper

    from health

),

figures as (

    select * from performance_figures
    union all
    select * from health_figures

),

compared as (

    select
        served.monitor,
        served.grain,
        served.window_start,
        served.window_end,
        served.champion_version,
        served.model_version as challenger_version,
        challenger.metric,
        challenger.is_better_higher,
        coalesce(champion.sample_count, 0) as champion_sample_count,
        challenger.sample_count as challenger_sample_count,
        champion.value as champion_value,
        challenger.value as challenger_value,
        challenger.value - champion.value as difference,
        {{ difference_lower('challenger.value', 'champion.value') | indent(8) }}
            as difference_lower,
        {{ difference_upper('challenger.value', 'champion.value') | indent(8) }}
            as difference_upper

    from served

    inner join figures as challenger
        on
            {%- for key in window_keys %}
            {{ 'and ' if not loop.first }}served.{{ key }} = challenger.{{ key }}
            {%- endfor %}
            and served.model_version = challenger.model_version

    left join figures as champion
        on
            {%- for key in window_keys %}
            {{ 'and ' if not loop.first }}served.{{ key }} = champion.{{ key }}
            {%- endfor %}
            and served.champion_version = champion.model_version
            and challenger.metric = champion.metric

    where
        served.model_version != served.champion_version
        and coalesce(challenger.value, champion.value) is not null

),

judged as (

    select
        compared.*,
        monitors.minimum_sample,
        case
            when
                compared.difference_lower is null
                or least(
                    compared.champion_sample_count, compared.challenger_sample_count
                ) < monitors.minimum_sample
                then null
            when compared.difference_lower > 0 then compared.is_better_higher
            when compared.difference_upper < 0 then not compared.is_better_higher
            else false
        end as is_better,
        case
            when
                compared.difference_lower is null
                or least(
                    compared.champion_sample_count, compared.challenger_sample_count
                ) < monitors.minimum_sample
                then null
            when compared.difference_lower > 0 then not compared.is_better_higher
            when compared.difference_upper < 0 then compared.is_better_higher
            else false
        end as is_worse

    from compared

    inner join monitors
        on compared.monitor = monitors.monitor

),

comparisons as (

    select
        monitor,
        grain,
        window_start,
        window_end,
        champion_version,
        challenger_version,
        metric,
        champion_sample_count,
        challenger_sample_count,
        champion_value,
        challenger_value,
        difference,
        difference_lower,
        difference_upper,
        is_better,
        is_worse,
        case
            when is_worse is null then 'not_computable'
            when is_worse then 'warning'
            else 'ok'
        end as status,
        case
            when is_worse is null
                then least(champion_sample_count, challenger_sample_count)
                    || ' rows of a version, of which the figure needs '
                    || minimum_sample
            when is_worse
                then metric || ' ' || round(challenger_value::numeric, 4)
                    || ', of the champion ' || round(champion_value::numeric, 4)
        end as reason

    from judged

)

select * from comparisons
