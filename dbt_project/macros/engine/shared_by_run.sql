{#-
    What the models of a run share, so that each of them need not find it out anew: a
    dictionary. Of what dbt shows them, `graph` is the one thing that is the same for
    all; a run of another `invocation_id` begins with nothing.
-#}
{% macro shared_by_run() %}
    {% set shared = graph.get('shared_by_run', {}) %}
    {% if shared.get('invocation_id') != invocation_id %}
        {% set shared = {'invocation_id': invocation_id, 'answers': {}} %}
        {% do graph.update({'shared_by_run': shared}) %}
    {% endif %}
    {{ return(shared) }}
{% endmacro %}


{#-
    The answer to a query that stays the same for the rest of the run, since what it
    reads has been written for it already. A full refresh by another run can still take
    that away: `replace_windows` looks once more before it writes.
-#}
{% macro asked_once(sql) %}
    {% set answers = shared_by_run().answers %}
    {% if sql not in answers %}
        {% do answers.update({sql: run_query(sql)}) %}
    {% endif %}
    {{ return(answers[sql]) }}
{% endmacro %}
