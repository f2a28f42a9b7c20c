{#-
    The names of a mart's figures: the numeric columns of its contract, in its order.
    Empty while dbt parses.
-#}
{% macro figures_of(mart) %}
    {% set figures = [] %}
    {% set nodes = graph.nodes.values() if execute else [] %}
    {% for node in nodes if node.resource_type == 'model' and node.name == mart %}
        {% for column in node.columns.values()
            if column.data_type in ['bigint', 'double precision'] %}
            {% do figures.append(column.name) %}
        {% endfor %}
    {% endfor %}
    {{ return(figures) }}
{% endmacro %}


{#- The same of several marts, {mart: [figure]}; a unit test overrides it. -#}
{% macro figures_by_mart(marts) %}
    {% set figures = {} %}
    {% for mart in marts %}
        {% do figures.update({mart: figures_of(mart)}) %}
    {% endfor %}
    {{ return(figures) }}
{% endmacro %}
