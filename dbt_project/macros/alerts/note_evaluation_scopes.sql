{#-
    From when on each monitor's rules are judged anew, in a table that lives as long as
    the transaction: what is deleted is exactly what is inserted. It is looked up under
    the model's lock, so that of two overlapping runs the later one judges what the
    earlier one's windows changed.

    `since` is -infinity for all of history: if the monitor is replaced or its rules
    are others than those it was judged by. Else it is the start of the earliest window
    that this run refreshes, of the newest window of traffic, and of the earliest one
    that was judged as provisional, such as one whose labels were still to come. Every
    window that ends later is judged; null if there is none.
-#}
{% macro note_evaluation_scopes() %}
    {%- set refreshed = ref('int_refresh_windows') -%}
    {%- set spans = ref('int_traffic_spans') -%}
    {%- set monitors = ref('int_monitors') -%}
    {%- set rules = ref('int_alert_rules') -%}
    {%- if not execute or not is_incremental() -%}
        {{ return('') }}
    {%- endif %}
    create temporary table evaluation_scopes on commit drop as
    with refreshed as (
        select
            monitor,
            bool_or(replaces_monitor) as is_replaced,
            min(window_start) filter (where grain != 'baseline') as since
        from {{ refreshed }}
        where
            invocation_id = '{{ invocation_id }}'
            and family in ('traffic', 'burn_rates', 'columns', 'outcomes', 'drift')
        group by monitor
    ),
    rules as (
        select
            monitor,
            min(rules_hash) as rules_hash
        from {{ rules }}
        group by monitor
    ),
    -- One look into an index each, however long history is.
    evaluated as (
        select
            monitors.monitor,
            (
                select min(stored.rules_hash)
                from {{ this }} as stored
                where stored.monitor = monitors.monitor
            ) as rules_hash,
            (
                select max(stored.rules_hash)
                from {{ this }} as stored
                where stored.monitor = monitors.monitor
            ) as other_rules_hash,
            (
                select min(stored.window_start)
                from {{ this }} as stored
                where stored.monitor = monitors.monitor and stored.is_provisional
            ) as provisional_since
        from {{ monitors }} as monitors
    )
    select
        monitors.monitor,
        case
            when
                refreshed.is_replaced
                or rules.rules_hash is distinct from evaluated.rules_hash
                or rules.rules_hash is distinct from evaluated.other_rules_hash
                then '-infinity'
            else least(
                refreshed.since,
                spans.newest_window_start,
                evaluated.provisional_since
            )
        end as since
    from {{ monitors }} as monitors
    left join refreshed on monitors.monitor = refreshed.monitor
    left join rules on monitors.monitor = rules.monitor
    left join evaluated on monitors.monitor = evaluated.monitor
    left join {{ spans }} as spans on monitors.monitor = spans.monitor
{% endmacro %}


{#- A from-clause item with those scopes: all of history, if the model is new. -#}
{% macro evaluation_scopes() -%}
    {%- if execute and is_incremental() -%}
evaluation_scopes
    {%- else -%}
(
    select
        monitor,
        '-infinity'::timestamptz as since
    from {{ ref('int_monitors') }}
) as evaluation_scopes
    {%- endif -%}
{%- endmacro %}


{#-
    A from-clause item with what was found before those scopes: nothing, if the model is
    new.
-#}
{% macro earlier_evaluations() -%}
    {%- if execute and is_incremental() -%}
(
    select stored.*
    from {{ this }} as stored
    inner join evaluation_scopes
        on
            stored.monitor = evaluation_scopes.monitor
            and stored.window_end <= evaluation_scopes.since
) as earlier_evaluations
    {%- else -%}
(
    select
        null::text as rule_id,
        null::text as monitor,
        null::text as model_version,
        null::text as segment,
        null::text as segment_value,
        null::text as column_name,
        null::text as grain,
        null::timestamptz as window_start,
        null::timestamptz as window_end,
        null::integer as severity
    where false
) as earlier_evaluations
    {%- endif -%}
{%- endmacro %}


{#-
    Incremental strategy of the evaluations: what ends after a monitor's scope begins is
    replaced, and monitors that are gone go.
-#}
{% macro get_incremental_replace_evaluations_sql(arguments) %}
    {%- set target_relation = arguments['target_relation'] -%}
    {%- set columns = arguments['dest_columns'] -%}
    {%- set column_names = columns | map(attribute='quoted') | join(', ') %}

    delete from {{ target_relation }} as stored
    using evaluation_scopes
    where
        stored.monitor = evaluation_scopes.monitor
        and stored.window_end > evaluation_scopes.since;

    delete from {{ target_relation }}
    where monitor not in (select monitor from evaluation_scopes);

    insert into {{ target_relation }} ({{ column_names }})
    select {{ column_names }} from {{ arguments['temp_relation'] }};

{% endmacro %}
