{{
    config(
        incremental_strategy='replace_rows',
        indexes=[{'columns': ['monitor', 'model_version'], 'unique': true}]
    )
}}

with

{% for monitor in monitors() -%}
{%- do check_monitor_relations(monitor) -%}
{%- set found -%}
    select
        {{ baseline_version_key(monitor) | indent(8) }} as model_version,
        count(*) as row_count,
        count(label_loaded_at) as label_count,
        sum(
            {{ epoch_microseconds('loaded_at') | indent(12) }}
        ) as loaded_at_checksum,
        sum(
            {{ epoch_microseconds('label_loaded_at') | indent(12) }}
        ) as label_checksum,
        min(loaded_at) as first_loaded_at,
        min(predicted_at) as first_predicted_at

    from {{ baseline_rows(monitor) | indent(4) }}

    group by 1
{%- endset -%}
{{ monitor.name }}_found as (

    select
        '{{ monitor.name }}' as monitor,
        found.*,
        false as is_kept

    from {{ guarded_rows(monitor, 'found', {
        'model_version': 'text',
        'row_count': 'bigint',
        'label_count': 'bigint',
        'loaded_at_checksum': 'numeric',
        'label_checksum': 'numeric',
        'first_loaded_at': 'timestamptz',
        'first_predicted_at': 'timestamptz',
    }, found, monitor.baseline.relation) | indent(4) }}

),

{% endfor -%}

{{ union_of_monitors('found', 'read') }},

-- A row of nulls says that the baseline could not be read: it stays what it was.
unread as (

    select monitor from read where model_version is null

),

found as (

    select *
    from read
    where monitor not in (select unread.monitor from unread)

),

definitions as (
{% for monitor in monitors() %}
    {%- if not loop.first %}

    union all
{% endif %}
    select
        '{{ monitor.name }}' as monitor,
        {{ text_literal(monitor_definition(monitor)) }} as definition,
        '{{ baseline_kind(monitor) }}' as baseline_kind,
        {{ takes_what_is_left(monitor) }} as takes_what_is_left
{%- endfor %}

),

-- What the baseline held when the monitor's windows were computed.
known as (

    select * from {{ this if is_incremental() else 'found where false' }}

),

known_hashes as (

    select
        definitions.monitor,
        (
            select {{ definition_hash('definitions.definition') | indent(12) }}
            from known
            where known.monitor = definitions.monitor
        ) as definition_hash

    from definitions

),

ledger as (

    select * from {{ window_ledger() | indent(4) }}

),

-- Of a changed block, or after a run that died with a new baseline, nothing can be
-- kept: all windows are computed anew in any case.
settled as (

    select known_hashes.monitor

    from known_hashes

    inner join ledger
        on known_hashes.monitor = ledger.monitor

    group by known_hashes.monitor

    having
        bool_and(coalesce(ledger.definition_hash = known_hashes.definition_hash, false))

),

starts as (

    select
        definitions.monitor,
        definitions.baseline_kind,
        (
            select
                {{ window_start(
                    'min(known.first_predicted_at)', 'day'
                ) | indent(16) }}
            from known
            where known.monitor = definitions.monitor
        ) as known_start,
        (
            select
                {{ window_start(
                    'min(found.first_predicted_at)', 'day'
                ) | indent(16) }}
            from found
            where found.monitor = definitions.monitor
        ) as found_start

    from definitions

    inner join settled
        on definitions.monitor = settled.monitor

    where not definitions.takes_what_is_left

),

-- A baseline grows, but what retention drops from the log stays in it. The first days
-- may begin earlier than was known, and end earlier, too: that is none of retention.
kept as (

    select distinct starts.monitor

    from starts

    inner join known
        on starts.monitor = known.monitor

    left join found
        on
            known.monitor = found.monitor
            and known.model_version = found.model_version

    where
        starts.monitor not in (select unread.monitor from unread)
        and (
            found.row_count is null
            or found.row_count < known.row_count
            or found.label_count < known.label_count
            or found.first_predicted_at > known.first_predicted_at
        )
        and (
            starts.baseline_kind != 'first'
            or starts.found_start is null
            or starts.found_start >= starts.known_start
        )

),

baseline_versions as (

    select *
    from found
    where monitor not in (select kept.monitor from kept)

    union all

    select
        known.monitor,
        known.model_version,
        known.row_count,
        known.label_count,
        known.loaded_at_checksum,
        known.label_checksum,
        known.first_loaded_at,
        known.first_predicted_at,
        known.is_kept
        or known.monitor not in (select unread.monitor from unread) as is_kept
    from known
    where
        known.monitor in (select kept.monitor from kept)
        or known.monitor in (select unread.monitor from unread)

)

select * from baseline_versions
