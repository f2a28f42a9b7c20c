{#-
    Views on Postgres: replaced in place while their columns allow it. dbt's own way, to
    swap and drop, takes every view that stands on them along until it is its turn, so
    that a dashboard would find no mart for some seconds of each run.
-#}
{% materialization view, adapter='postgres' %}
    {#-
        Before the columns are read: two runs that both had read them would wait for
        each other.
    -#}
    {% call statement('lock') -%}
        {{ lock_model() }}
    {%- endcall %}

    {%- set existing = load_cached_relation(this) -%}
    {%- set instead = instead_of_unbuildable(sql) -%}
    {%- if instead -%}
        {% call statement('main') -%}
            {{ instead }}
        {%- endcall %}
        {% do adapter.commit() %}
        {{ return({'relations': [this]}) }}
    {%- endif -%}
    {%- if existing is none or not existing.is_view
        or not keeps_columns(existing, sql) -%}
        {{ return(materialization_view_default()) }}
    {%- endif -%}

    {{ run_hooks(pre_hooks, inside_transaction=false) }}
    {{ run_hooks(pre_hooks, inside_transaction=true) }}

    {%- if config.get('contract').enforced -%}
        {{ get_assert_columns_equivalent(sql) }}
    {%- endif %}

    {% call statement('main') -%}
        create or replace view {{ existing }} as (
            {{ sql }}
        );
    {%- endcall %}

    {% do apply_grants(existing, config.get('grants'), should_revoke=true) %}
    {% do persist_docs(existing, model) %}
    {{ run_hooks(post_hooks, inside_transaction=true) }}
    {{ adapter.commit() }}
    {{ run_hooks(post_hooks, inside_transaction=false) }}
    {{ return({'relations': [existing]}) }}
{% endmaterialization %}


{#- Whether a query begins with the columns that a view has, by name and type. -#}
{% macro keeps_columns(view, sql) %}
    {% set there = get_column_schema_from_query('select * from ' ~ view) %}
    {% set wanted = get_column_schema_from_query(sql) %}
    {% if there | length > wanted | length %}
        {{ return(false) }}
    {% endif %}
    {% for column in there %}
        {% set other = wanted[loop.index0] %}
        {% if column.name != other.name or column.data_type != other.data_type %}
            {{ return(false) }}
        {% endif %}
    {% endfor %}
    {{ return(true) }}
{% endmacro %}
