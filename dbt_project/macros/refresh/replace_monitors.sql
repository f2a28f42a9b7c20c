{#-
    Incremental strategy of what depends on a monitor's definition only: the rows of
    monitors whose definition changed, or which are gone, are replaced; the others stay.
-#}
{% macro get_incremental_replace_monitors_sql(arguments) %}
    {%- set target_relation = arguments['target_relation'] -%}
    {%- set columns = arguments['dest_columns'] -%}
    {%- set column_names = columns | map(attribute='quoted') | join(', ') %}

    delete from {{ target_relation }} as stored
    where not exists (
        select 1
        from {{ ref('int_monitors') }} as monitors
        where
            monitors.monitor = stored.monitor
            and monitors.definition_hash = stored.definition_hash
    )
    and stored.monitor not in (
        select monitor
        from {{ read_failures_table() }}
        where invocation_id = '{{ invocation_id }}'
    );

    insert into {{ target_relation }} ({{ column_names }})
    select {{ column_names }}
    from {{ arguments['temp_relation'] }}
    on conflict do nothing;

{% endmacro %}


{#-
    The condition that what is stored of a monitor's baseline is missing, or of another
    definition. It is SQL, so that it is judged under the model's lock.
-#}
{% macro rebuilds_baseline(monitor) %}
    {%- if not execute or not is_incremental() -%}
true
    {%- else -%}
not exists (
    select 1
    from {{ this }} as stored
    inner join {{ ref('int_monitors') }} as monitors
        on
            stored.monitor = monitors.monitor
            and stored.definition_hash = monitors.definition_hash
    where stored.monitor = '{{ monitor.name }}'
)
    {%- endif -%}
{% endmacro %}


{#- The condition that the stored baseline is that of a row of `int_monitors`. -#}
{% macro has_baseline_of(monitors) -%}
    {%- for model in ['int_baselines', 'int_baseline_categories'] -%}
not exists (
    select 1
    from {{ ref(model) }} as stored
    where
        stored.monitor = {{ monitors }}.monitor
        and stored.definition_hash != {{ monitors }}.definition_hash
)
and {% endfor -%}
(
    {{ monitors }}.reference_version is null
    {%- for model in ['int_baselines', 'int_baseline_categories'] %}
    or exists (
        select 1
        from {{ ref(model) }} as stored
        where stored.monitor = {{ monitors }}.monitor
    )
    {%- endfor %}
)
{%- endmacro %}


{#-
    Whether this run takes a monitor's baseline as it finds it, though rows of it may be
    gone: only where it was told to look for retractions.
-#}
{% macro takes_what_is_left(monitor) -%}
{{ 'true' if var('reconcile') and monitor.name in chosen_monitors() else 'false' }}
{%- endmacro %}
