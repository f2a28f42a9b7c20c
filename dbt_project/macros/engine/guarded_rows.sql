{#-
    The table of `read_failures` and the functions that catch errors. Only errors that
    lie in a relation or its rows are caught; a lost connection, a full disk, a deadlock
    or a cancelled query is the run's own failure.
-#}
{% macro create_guards() %}
    {%- if flags.WHICH not in ['run', 'build', 'test'] -%}
        {{ return('') }}
    {%- endif -%}
    {%- set schema = adapter.quote(generate_schema_name('intermediate', none)) -%}
    -- Two runs can't replace the same function at once.
    select pg_advisory_xact_lock(hashtext('driftline'), hashtext('guards'));

    {{ ensure_schema(generate_schema_name('intermediate', none)) }}

    create table if not exists {{ read_failures_table() }} (
        invocation_id text not null,
        monitor text not null,
        reason text not null,
        failed_at timestamptz not null default clock_timestamp(),
        primary key (invocation_id, monitor)
    );

    delete from {{ read_failures_table() }}
    where failed_at < now() - interval '7 days';

    create or replace function {{ schema }}.is_of_relation(state text)
    returns boolean language sql immutable as $guard$
        select left(state, 2) not in ('08', '25', '40', '53', '55', '57', '58', 'XX')
    $guard$;

    create or replace function {{ schema }}.note_read_failure(
        run text, failed_monitor text, relation text, problem text
    )
    returns void language sql as $guard$
        insert into {{ read_failures_table() }} (invocation_id, monitor, reason)
        values (
            run,
            failed_monitor,
            'reading the model ''' || relation || ''' fails: ' || problem
            || '; mend it, or the rows that it reads, and build again'
        )
        on conflict do nothing
    $guard$;

    create or replace function {{ schema }}.planning_error(query text)
    returns text language plpgsql as $guard$
    declare
        state text;
        problem text;
    begin
        execute 'explain ' || query;
        return null;
    exception when others then
        get stacked diagnostics
            state = returned_sqlstate, problem = message_text;
        if not {{ schema }}.is_of_relation(state) then
            raise;
        end if;
        return problem;
    end
    $guard$;

    create or replace function {{ schema }}.guarded_rows(
        run text, failed_monitor text, relation text, query text
    )
    returns setof record language plpgsql as $guard$
    declare
        state text;
        problem text;
    begin
        return query execute query;
    exception when others then
        get stacked diagnostics
            state = returned_sqlstate, problem = message_text;
        if not {{ schema }}.is_of_relation(state) then
            raise;
        end if;
        perform {{ schema }}.note_read_failure(
            run, failed_monitor, relation, problem
        );
        -- A row of nulls tells the statement that reads these rows.
        return next null;
    end
    $guard$;
{% endmacro %}


{#-
    A from-clause item with the rows of a query over a monitor's relation. If it raises
    an error, the rows that came until then and one of nulls, and the failure is noted:
    whoever reads them must drop all if there is one of nulls. `columns` are the query's,
    {name: type}; `relation` is what to name in the failure.
-#}
{% macro guarded_rows(monitor, name, columns, query, relation=none) -%}
    {%- if not can_note_failures() -%}
(
    {{ query | indent(4) }}
) as {{ name }}
    {%- elif not can_be_read(monitor) -%}
(
    select
        {%- for column, type in columns.items() %}
        null::{{ type }} as {{ column }}{{ ',' if not loop.last }}
        {%- endfor %}
) as {{ name }}
    {%- else -%}
{{ adapter.quote(generate_schema_name('intermediate', none)) }}.guarded_rows(
    '{{ invocation_id }}',
    '{{ monitor.name }}',
    '{{ relation or monitor.predictions }}',
    ${{ name }}$
    {{ query | indent(4) }}
    ${{ name }}$
) as {{ name }} (
        {%- for column, type in columns.items() %}
    {{ column }} {{ type }}{{ ',' if not loop.last }}
        {%- endfor %}
)
    {%- endif -%}
{%- endmacro %}


{#-
    Statements that are run together, or not at all if one of them fails as a monitor's
    relation is read: then the failure is noted, and `otherwise` is run.
-#}
{% macro guarded_block(monitor, statements, otherwise) %}
    {%- set schema = adapter.quote(generate_schema_name('intermediate', none)) -%}
do $guarded_block$
declare
    state text;
    problem text;
begin
    execute $statements$
{{ statements }}
    $statements$;
exception when others then
    get stacked diagnostics
        state = returned_sqlstate, problem = message_text;
    if not {{ schema }}.is_of_relation(state) then
        raise;
    end if;
    perform {{ schema }}.note_read_failure(
        '{{ invocation_id }}',
        '{{ monitor.name }}',
        '{{ monitor.predictions }}',
        problem
    );
    {{ otherwise | indent(4) }}
end
$guarded_block$;
{% endmacro %}


{#- Why a query can't be planned; none if it can. -#}
{% macro planning_error(query) %}
    {% set function =
        adapter.quote(generate_schema_name('intermediate', none)) ~ '.planning_error'
    %}
    {{ return(run_query(
        'select ' ~ function ~ '($planned$' ~ query ~ '$planned$)'
    )[0][0]) }}
{% endmacro %}
