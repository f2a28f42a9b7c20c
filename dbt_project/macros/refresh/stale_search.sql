{#-
    Where `int_stale_windows` has to look for stale windows of one monitor:
    `scope`, as of `stale_scope`: everything, or the windows that anything arrived for
    since the ledger's newest row, less an overlap for transactions that commit late;
    `is_replaced`, whether all that is known of the monitor goes;
    `is_forced`, a condition for windows that are refreshed in any case;
    `leaves_alone`, true if this run was told to refresh other monitors only, or could
    not read this one.
-#}
{% macro stale_search(monitor) %}
    {% set monitors = ref('int_monitors') %}
    {% set overlap = checked_overlap() %}
    {% set search = {
        'scope': none,
        'is_replaced': 'true',
        'is_forced': 'false',
        'leaves_alone': false,
    } %}
    {% if monitor.name not in chosen_monitors() or not can_be_read(monitor) %}
        {% do search.update({'leaves_alone': true, 'scope': []}) %}
        {{ return(search) }}
    {% endif %}
    {% if not execute or not is_incremental() or not has_window_ledger() %}
        {{ return(search) }}
    {% endif %}

    {% set known_sql %}
        select
            coalesce(
                bool_and(
                    ledger.definition_hash is not distinct from monitors.definition_hash
                ),
                false
            )
            and not {{ began_otherwise(monitor) | indent(12) }} as is_unchanged,
            max(ledger.prediction_loaded_at) - interval '{{ overlap }}'
                as predictions_since,
            max(ledger.label_loaded_at) - interval '{{ overlap }}' as labels_since
        from {{ window_ledger() }} as ledger
        inner join {{ monitors }} as monitors
            on ledger.monitor = monitors.monitor
        where ledger.monitor = '{{ monitor.name }}'
    {% endset %}
    {% set known = run_query(known_sql)[0] %}
    {% if not known['is_unchanged'] %}
        {{ return(search) }}
    {% endif %}
    {% do search.update({'is_replaced': 'false'}) %}

    {% set grain = monitor.windows.traffic %}
    {% set is_forcing = var('refresh_from') or var('refresh_to') %}
    {% if is_forcing %}
        {% do search.update({
            'is_forced': forced_windows(
                'coalesce(found.window_start, known.window_start)', grain
            ),
        }) %}
    {% endif %}
    {% if var('reconcile') %}
        {{ return(search) }}
    {% endif %}

    {% set touched %}
        select
            window_start,
            {{ window_end('window_start', grain) }} as window_end
        from (
            select {{ window_start('predicted_at', grain) | indent(16) }} as window_start
            from {{ predictions_of(monitor) }}
            where
                {{ has_arrived_since('loaded_at', known['predictions_since']) }}
                and {{ is_usable_time('predicted_at') }}
            union
            select {{ window_start('predicted_at', grain) | indent(16) }} as window_start
            from {{ predictions_of(monitor) }}
            where
                {{ has_arrived_since('label_loaded_at', known['labels_since']) }}
                and {{ is_usable_time('predicted_at') }}
            {%- if is_forcing %}
            union
            select {{ window_start('predicted_at', grain) | indent(16) }} as window_start
            from {{ predictions_of(monitor) }}
            where
                {{ forced_windows('predicted_at', grain) }}
                and {{ is_usable_time('predicted_at') }}
            union
            select window_start
            from {{ window_ledger() }}
            where
                monitor = '{{ monitor.name }}'
                and {{ forced_windows('window_start', grain) }}
            {%- endif %}
        ) as touched
    {% endset %}
    {% set guarded_touched %}
        select window_start, window_end
        from {{ guarded_rows(
            monitor,
            'touched_windows',
            {'window_start': 'timestamptz', 'window_end': 'timestamptz'},
            touched
        ) | indent(8) }}
    {% endset %}
    {% set ranges = joined_ranges(guarded_touched, grain) %}
    {% do forget_known_failures() %}
    {% if can_be_read(monitor) %}
        {% do search.update({'scope': ranges}) %}
    {% else %}
        {% do search.update({'leaves_alone': true, 'scope': []}) %}
    {% endif %}
    {{ return(search) }}
{% endmacro %}


{#-
    The condition that a run with another definition of the monitor began after those
    that the ledger knows: it may have written some models and died, and then the
    monitor's block been changed back.
-#}
{% macro began_otherwise(monitor) -%}
exists (
    select 1
    from {{ this }} as begun
    where
        begun.monitor = '{{ monitor.name }}'
        and begun.definition_hash is distinct from (
            select known.definition_hash
            from {{ ref('int_monitors') }} as known
            where known.monitor = '{{ monitor.name }}'
        )
        and begun.detected_at > (
            select min(coalesce(finished.detected_at, '-infinity'))
            from {{ window_ledger() }} as refreshed
            left join {{ this }} as finished
                on
                    refreshed.refreshed_by = finished.invocation_id
                    and refreshed.monitor = finished.monitor
                    and refreshed.window_start = finished.window_start
            where refreshed.monitor = '{{ monitor.name }}'
        )
)
{%- endmacro %}


{#- The condition that a row arrived since a time, or at all if nothing has so far. -#}
{% macro has_arrived_since(loaded_at, since) -%}
    {%- if since is none -%}
        {{ loaded_at }} is not null
    {%- else -%}
        {{ loaded_at }} >= timestamptz '{{ since }}'
    {%- endif -%}
{%- endmacro %}


{#- The names of the monitors that this run refreshes. -#}
{% macro chosen_monitors() %}
    {% set names = monitors() | map(attribute='name') | list %}
    {% set chosen = var('only_monitors') %}
    {% if not chosen %}
        {{ return(names) }}
    {% endif %}
    {% set chosen = [chosen] if chosen is string else chosen | list %}
    {% for name in chosen if name not in names %}
        {% do exceptions.raise_compiler_error(
            "The variable only_monitors names '" ~ name ~ "': the monitors are "
            ~ names | join(', ') ~ "."
        ) %}
    {% endfor %}
    {{ return(chosen) }}
{% endmacro %}


{% macro checked_overlap() %}
    {% set overlap = var('late_commit_overlap') | string %}
    {% if not modules.re.fullmatch('\\d{1,4} (minute|hour|day)s?', overlap) %}
        {% do exceptions.raise_compiler_error(
            "The variable late_commit_overlap is '" ~ overlap
            ~ "': write a span such as 30 minutes or 2 hours."
        ) %}
    {% endif %}
    {{ return(overlap) }}
{% endmacro %}


{#-
    The condition of `refresh_from` and `refresh_to`, dates or times in UTC, on a time
    within a window or on its start: a window that they touch is refreshed whole.
-#}
{% macro forced_windows(timestamp, grain) %}
    {% set conditions = [] %}
    {% for key in ['refresh_from', 'refresh_to'] if var(key) %}
        {% set moment = var(key) | string %}
        {% if not modules.re.fullmatch(
            '\\d{4}-\\d{2}-\\d{2}([T ]\\d{2}:\\d{2}(:\\d{2})?)?', moment
        ) %}
            {% do exceptions.raise_compiler_error(
                "The variable " ~ key ~ " is '" ~ moment
                ~ "': write a date or time in UTC,"
                ~ " as in 2026-01-31 or 2026-01-31T12:00."
            ) %}
        {% endif %}
        {% set literal = "timestamptz '" ~ moment
            ~ ("+00'" if ':' in moment else " 00:00+00'") %}
        {% do conditions.append(
            timestamp ~ " >= " ~ window_start(literal, grain) if key == 'refresh_from'
            else timestamp ~ " < " ~ literal
        ) %}
    {% endfor %}
    {{ return('(' ~ conditions | join(' and ') ~ ')') }}
{% endmacro %}
