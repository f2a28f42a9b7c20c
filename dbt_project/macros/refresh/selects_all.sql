{#-
    Whether this run builds all of those models. If it leaves one out, its windows stay
    stale in there, so the ledger must not call them refreshed.
-#}
{% macro selects_all(models) %}
    {% set missing = [] %}
    {% for model in models if 'model.driftline.' ~ model not in selected_resources %}
        {% do missing.append(model) %}
    {% endfor %}
    {% if execute and missing and flags.WHICH in ['run', 'build'] %}
        {% do log(
            "The windows of this run stay stale, because it leaves out "
            ~ missing | join(', ') ~ ": run `dbt build` without a selection.", info=true
        ) %}
    {% endif %}
    {{ return(not missing) }}
{% endmacro %}
