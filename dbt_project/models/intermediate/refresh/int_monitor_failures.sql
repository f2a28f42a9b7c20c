{{
    config(
        incremental_strategy='replace_rows',
        indexes=[{'columns': ['monitor'], 'unique': true}]
    )
}}

-- Once everything that is read of the monitors' relations has been:
-- depends_on: {{ ref('int_refresh_windows') }}

with

{% set examined = chosen_monitors()
    if 'model.driftline.int_refresh_windows' in selected_resources else [] -%}
known as (

    select *
    from {% if is_incremental() %}{{ this }}{% else %}(
        select
            null::text as monitor,
            null::text as reason,
            null::timestamptz as failed_since,
            null::timestamptz as failed_at
        where false
    ) as nothing_known{% endif %}
),

failed_now as (
{% if can_note_failures() %}
    select monitor, reason, failed_at
    from {{ read_failures_table() }}
    where invocation_id = '{{ invocation_id }}'
{% else %}
    select monitor, reason, failed_at from known where false
{% endif %}
),

monitor_failures as (

    select
        failed_now.monitor,
        failed_now.reason,
        coalesce(known.failed_since, failed_now.failed_at) as failed_since,
        failed_now.failed_at

    from failed_now

    left join known
        on failed_now.monitor = known.monitor

    union all

    -- Of those that this run did not look at, what the last one said.
    select known.*
    from known
    where
        known.monitor in (
            {%- for monitor in monitors() %}
            '{{ monitor.name }}'{{ ',' if not loop.last }}
            {%- endfor %}
        )
        and known.monitor not in (select failed_now.monitor from failed_now)
        {%- for name in examined %}
        and known.monitor != '{{ name }}'
        {%- endfor %}

)

select * from monitor_failures
