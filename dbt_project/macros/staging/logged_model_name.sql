{#-
    The name that a monitor's model has in the log: that which its staging model gave to
    `staged_json_predictions`, or else the monitor's own.
-#}
{% macro logged_model_name(monitor) %}
    {% for node in (graph.nodes.values() if execute else [])
        if node.resource_type == 'model' and node.name == monitor.predictions %}
        {{ return(node.config.meta.get('logged_model_name') or monitor.name) }}
    {% endfor %}
    {{ return(monitor.name) }}
{% endmacro %}
