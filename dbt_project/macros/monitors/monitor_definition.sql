{#-
    What decides a monitor's statistics, as text. It is hashed into the ledger of
    refreshed windows: if it changes, all of the monitor's windows are stale. Raise
    `statistics_version` when a formula changes.
-#}
{% macro monitor_definition(monitor) %}
    {% set statistics_version = 5 %}
    {% set decisive = {'statistics_version': statistics_version} %}
    {% set indecisive = [
        'owner', 'labels', 'freshness', 'evidently', 'alerts', 'columns', 'actual',
    ] %}
    {% for key, value in monitor.items() if key not in indecisive %}
        {% do decisive.update({key: value}) %}
    {% endfor %}
    {{ return(tojson(decisive, sort_keys=true)) }}
{% endmacro %}


{#-
    The hash of a definition and of what the baseline holds, over the rows of
    `int_baseline_versions` of one monitor.
-#}
{% macro definition_hash(definition) -%}
md5(
    {{ definition }}
    || coalesce(string_agg(
        concat_ws(
            ' ',
            model_version,
            row_count,
            loaded_at_checksum,
            label_count,
            label_checksum
        ),
        ';' order by model_version
    ), '')
)
{%- endmacro %}


{#- The baseline in words, for people. -#}
{% macro baseline_description(monitor) %}
    {% set suffix =
        ', shared by all versions' if monitor.baseline.versions == 'shared' else '' %}
    {% if monitor.baseline.relation %}
        {{ return('relation ' ~ monitor.baseline.relation ~ suffix) }}
    {% elif monitor.baseline.first %}
        {{ return('first ' ~ monitor.baseline.first ~ suffix) }}
    {% endif %}
    {{ return(monitor.baseline.from ~ ' to ' ~ monitor.baseline.to ~ suffix) }}
{% endmacro %}


{#- How the baseline is told: a relation, the first days, or dates. -#}
{% macro baseline_kind(monitor) %}
    {{ return(
        'relation' if monitor.baseline.relation
        else 'first' if monitor.baseline.first
        else 'dates'
    ) }}
{% endmacro %}
