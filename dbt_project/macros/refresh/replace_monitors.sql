{#-
    Incremental strategy of what depends on a monitor's definition only: the rows of monitors whose
    definition changed, or which are gone, are replaced; the others stay.
-#}
{% macro get_incremental_replace_monitors_sql(arguments) %}
    {%- set target_relation = arguments['target_relation'] -%}
    {%- set column_names = arguments['dest_columns'] | map(attribute='quoted') | join(', ') %}

    delete from {{ target_relation }} as stored
    where not exists (
        select 1
        from {{ ref('int_monitors') }} as monitors
        where
            monitors.monitor = stored.monitor
            and monitors.definition_hash = stored.definition_hash
    );

    insert into {{ target_relation }} ({{ column_names }})
    select {{ column_names }}
    from {{ arguments['temp_relation'] }}
    on conflict do nothing;

{% endmacro %}


{#- Whether the stored baseline of a monitor is missing, or of another definition. -#}
{% macro rebuilds_baseline(monitor) %}
    {% set monitors = ref('int_monitors') %}
    {% if not execute or not is_incremental() %}
        {{ return(true) }}
    {% endif %}
    {% set current = run_query(
        "select 1 from " ~ this ~ " as stored inner join " ~ monitors ~ " as monitors"
        ~ " on stored.monitor = monitors.monitor and stored.definition_hash = monitors.definition_hash"
        ~ " where stored.monitor = '" ~ monitor.name ~ "' limit 1"
    ) %}
    {{ return(current | length == 0) }}
{% endmacro %}
