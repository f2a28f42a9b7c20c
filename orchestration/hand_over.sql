-- For a warehouse that another role has built: what the current role owns in the schemas
-- of dbt, Evidently and alerts is the transformer's from now on, so that it can replace
-- it. Run after roles.sql.

do $$
declare
    relation regclass;
    routine regprocedure;
begin
    for relation in
        select oid
        from pg_class
        where
            relnamespace in (
                select oid
                from pg_namespace
                where
                    nspname in (
                        'staging', 'intermediate', 'evidently', 'operations', 'marts'
                    )
            )
            -- Indexes and identity columns go with their tables.
            and relkind in ('r', 'p', 'v', 'm')
            and relowner = (select oid from pg_roles where rolname = current_user)
    loop
        execute format('alter table %s owner to driftline_transformer', relation);
    end loop;

    for routine in
        select oid
        from pg_proc
        where
            pronamespace in (
                select oid
                from pg_namespace
                where
                    nspname in (
                        'staging', 'intermediate', 'evidently', 'operations', 'marts'
                    )
            )
            and proowner = (select oid from pg_roles where rolname = current_user)
    loop
        execute format('alter routine %s owner to driftline_transformer', routine);
    end loop;
end
$$;
