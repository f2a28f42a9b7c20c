{{
    config(
        incremental_strategy='append',
        pre_hook="{% if is_incremental() %}"
            ~ "delete from {{ this }} where detected_at < now() - interval '7 days'"
            ~ "{% endif %}",
        indexes=[{
            'columns': ['invocation_id', 'monitor', 'window_start'],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
{%- set search = stale_search(monitor) -%}
{%- set found_windows -%}
    select
        {{ window_start(
            'predicted_at', monitor.windows.traffic
        ) | indent(8) }} as window_start,
        count(*) as prediction_count,
        min(predicted_at) as first_predicted_at,
        max(predicted_at) as last_predicted_at,
        -- Not from the future, or what arrives until then would pass unseen.
        max(loaded_at) filter (where loaded_at <= now()) as prediction_loaded_at,
        sum(
            {{ epoch_microseconds('loaded_at') | indent(12) }}
        ) as prediction_checksum,
        count(*) filter (
            where actual is not null or label_loaded_at is not null
        ) as label_count,
        max(label_loaded_at) filter (where label_loaded_at <= now()) as label_loaded_at,
        sum(
            {{ epoch_microseconds('label_loaded_at') | indent(12) }}
        ) as label_checksum

    from {{ predictions_of(monitor) | indent(4) }}

    where {{ in_scope('predicted_at', search.scope) | indent(4) }}

    group by 1
{%- endset -%}
{{ monitor.name }}_now as (

    select *
    from {{ guarded_rows(monitor, 'found_windows', {
        'window_start': 'timestamptz',
        'prediction_count': 'bigint',
        'first_predicted_at': 'timestamptz',
        'last_predicted_at': 'timestamptz',
        'prediction_loaded_at': 'timestamptz',
        'prediction_checksum': 'numeric',
        'label_count': 'bigint',
        'label_loaded_at': 'timestamptz',
        'label_checksum': 'numeric',
    }, found_windows) | indent(4) }}

),

{{ monitor.name }}_before as (

    select *
    from {{ window_ledger() | indent(4) }}
    where
        monitor = '{{ monitor.name }}'
        and {{ in_scope('window_start', search.scope) | indent(8) }}

),

{{ monitor.name }}_compared as (

    select
        '{{ monitor.name }}' as monitor,
        coalesce(found.window_start, known.window_start) as window_start,
        {{ search.is_replaced }} as replaces_monitor,
        {{ search.is_forced }} as is_forced,
        known.window_start is null as is_new,
        coalesce(found.prediction_count, 0) as prediction_count,
        found.first_predicted_at,
        found.last_predicted_at,
        found.prediction_loaded_at,
        found.prediction_checksum,
        coalesce(found.label_count, 0) as label_count,
        found.label_loaded_at,
        found.label_checksum,
        coalesce(found.prediction_count, 0) < known.prediction_count
        or coalesce(found.label_count, 0) < known.label_count as is_retracted,
        (coalesce(found.prediction_count, 0) is distinct from known.prediction_count)
        or (found.prediction_checksum is distinct from known.prediction_checksum)
            as has_other_predictions,
        (coalesce(found.label_count, 0) is distinct from known.label_count)
        or (found.label_checksum is distinct from known.label_checksum)
            as has_other_labels

    from {{ monitor.name }}_now as found

    full outer join {{ monitor.name }}_before as known
        on found.window_start = known.window_start

    {%- if search.leaves_alone %}

    -- This run's vars chose other monitors, or it could not read this one.
    where false
    {%- else %}

    -- A row of nulls says that the log could not be read.
    where
        not exists (
            select 1
            from {{ monitor.name }}_now as unread
            where unread.window_start is null
        )
    {%- endif %}

),

{% endfor -%}

{{ union_of_monitors('compared', 'compared') }},

stale as (

    select
        compared.monitor,
        compared.window_start,
        case monitors.traffic_grain
            {%- for grain in grains() %}
            when '{{ grain }}' then {{ window_end('compared.window_start', grain) }}
            {%- endfor %}
        end as window_end,
        compared.replaces_monitor,
        compared.replaces_monitor
        or compared.is_forced
        or compared.has_other_predictions as predictions_changed,
        compared.replaces_monitor
        or compared.is_forced
        or compared.has_other_labels as labels_changed,
        case
            when compared.is_new then 'new windows'
            when compared.replaces_monitor then 'definition changed'
            when compared.is_retracted then 'rows retracted'
            when compared.has_other_predictions then 'predictions arrived'
            when compared.has_other_labels then 'labels arrived'
            else 'asked for'
        end as reason,
        compared.prediction_count,
        compared.first_predicted_at,
        compared.last_predicted_at,
        compared.prediction_loaded_at,
        compared.prediction_checksum,
        compared.label_count,
        compared.label_loaded_at,
        compared.label_checksum,
        -- Unknown if another run is changing the baseline: then the next run goes
        -- again.
        case
            when
                {{ has_baseline_of('monitors') | indent(16) }}
                then monitors.definition_hash
        end as definition_hash

    from compared

    inner join {{ ref('int_monitors') }} as monitors
        on compared.monitor = monitors.monitor

    where
        compared.replaces_monitor
        or compared.is_forced
        or compared.has_other_predictions
        or compared.has_other_labels

),

-- Monitors whose block is gone: a full refresh would not know them either.
removed as (

    select distinct
        monitor,
        {{ baseline_window() }} as window_start,
        {{ baseline_window() }} as window_end,
        true as replaces_monitor,
        true as predictions_changed,
        true as labels_changed,
        'monitor removed' as reason,
        0 as prediction_count,
        null::timestamptz as first_predicted_at,
        null::timestamptz as last_predicted_at,
        null::timestamptz as prediction_loaded_at,
        null::numeric as prediction_checksum,
        0 as label_count,
        null::timestamptz as label_loaded_at,
        null::numeric as label_checksum,
        null::text as definition_hash

    from {{ known_monitors() | indent(4) }}

    where monitor not in (
        select monitors.monitor
        from {{ ref('int_monitors') }} as monitors
    )

),

all_stale as (

    select * from stale
    union all
    select * from removed

)

select
    '{{ invocation_id }}' as invocation_id,
    clock_timestamp() as detected_at,
    all_stale.*

from all_stale
