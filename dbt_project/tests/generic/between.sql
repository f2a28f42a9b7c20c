{#- Where it is not null, the column lies between two numbers, both included. -#}
{% test between(model, column_name, minimum, maximum) %}

select {{ column_name }}

from {{ model }}

where
    {{ column_name }} < {{ minimum }}
    or {{ column_name }} > {{ maximum }}
    or {{ column_name }} = 'NaN'

{% endtest %}
