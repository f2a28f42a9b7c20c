{#-
    Where `int_stale_windows` has to look for stale windows of one monitor:
    `scope`, as of `stale_scope`: everything, or the windows that anything arrived for since the
    ledger's newest row, less an overlap for transactions that commit late;
    `is_replaced`, whether all that is known of the monitor goes;
    `is_forced`, a condition for windows that are refreshed in any case;
    `leaves_alone`, true if this run was told to refresh other monitors only.
-#}
{% macro stale_search(monitor) %}
    {% set monitors = ref('int_monitors') %}
    {% set search = {'scope': none, 'is_replaced': 'true', 'is_forced': 'false', 'leaves_alone': false} %}
    {% if var('only_monitors') and monitor.name not in var('only_monitors') %}
        {% do search.update({'leaves_alone': true, 'scope': []}) %}
        {{ return(search) }}
    {% endif %}
    {% if not execute or not is_incremental() or not has_window_ledger() %}
        {{ return(search) }}
    {% endif %}

    {% set known = run_query(
        "select count(*) as window_count, coalesce(bool_and(ledger.definition_hash = monitors.definition_hash), false)"
        ~ " as is_unchanged, max(ledger.prediction_loaded_at) - interval '" ~ var('late_commit_overlap')
        ~ "' as predictions_since, max(ledger.label_loaded_at) - interval '" ~ var('late_commit_overlap')
        ~ "' as labels_since from " ~ window_ledger() ~ " as ledger inner join " ~ monitors
        ~ " as monitors on ledger.monitor = monitors.monitor where ledger.monitor = '" ~ monitor.name ~ "'"
    )[0] %}
    {% if not known['is_unchanged'] %}
        {{ return(search) }}
    {% endif %}
    {% do search.update({'is_replaced': 'false'}) %}

    {% set grain = monitor.windows.traffic %}
    {% if var('refresh_from') or var('refresh_to') %}
        {% do search.update({'is_forced': forced_windows('coalesce(found.window_start, known.window_start)')}) %}
    {% endif %}
    {% if var('reconcile') %}
        {{ return(search) }}
    {% endif %}

    {% set touched %}
        select
            window_start,
            {{ window_end('window_start', grain) }} as window_end
        from (
            select {{ window_start('predicted_at', grain) }} as window_start
            from {{ ref(monitor.predictions) }}
            where loaded_at >= timestamptz '{{ known['predictions_since'] }}' and predicted_at is not null
            union
            select {{ window_start('predicted_at', grain) }} as window_start
            from {{ ref(monitor.predictions) }}
            where
                label_loaded_at {% if known['labels_since'] is none %}is not null{% else -%}
                >= timestamptz '{{ known['labels_since'] }}'{% endif %}
                and predicted_at is not null
            {%- if search.is_forced != 'false' %}
            union
            select {{ window_start('predicted_at', grain) }} as window_start
            from {{ ref(monitor.predictions) }}
            where {{ forced_windows('predicted_at') }}
            union
            select window_start
            from {{ window_ledger() }}
            where monitor = '{{ monitor.name }}' and {{ forced_windows('window_start') }}
            {%- endif %}
        ) as touched
    {% endset %}
    {% do search.update({'scope': joined_ranges(touched)}) %}
    {{ return(search) }}
{% endmacro %}


{#- The condition of `refresh_from` and `refresh_to`, dates or timestamps in UTC. -#}
{% macro forced_windows(timestamp) %}
    {% set conditions = [] %}
    {% for key, operator in [['refresh_from', '>='], ['refresh_to', '<']] if var(key) %}
        {% set moment = var(key) | string %}
        {% if not modules.re.match('^\\d{4}-\\d{2}-\\d{2}([T ]\\d{2}:\\d{2}(:\\d{2})?)?$', moment) %}
            {% do exceptions.raise_compiler_error(
                "The variable " ~ key ~ " is '" ~ moment ~ "': write a date or time in UTC, as in 2026-01-31 or 2026-01-31T12:00."
            ) %}
        {% endif %}
        {% do conditions.append(timestamp ~ " " ~ operator ~ " timestamptz '" ~ moment ~ ("+00'" if ':' in moment else " 00:00+00'")) %}
    {% endfor %}
    {{ return('(' ~ conditions | join(' and ') ~ ')') }}
{% endmacro %}
