{#-
    Rows of the last two days that break the staging contract: they are in no window,
    are not noticed when they arrive, or count twice. They stop nothing, so somebody
    must be told.
-#}
{{ config(severity='warn') }}

with

{% for monitor in monitors() -%}
{%- set found_problems -%}
    select
        problem,
        count(*) as row_count,
        min(prediction_id::text) as example

    from (
        select
            prediction_id,
            case
                when predicted_at is null then 'predicted_at is null'
                when not {{ is_usable_time('predicted_at') | indent(20) }}
                    then 'predicted_at is out of range'
                when loaded_at is null then 'loaded_at is null'
                when loaded_at > now() + interval '1 hour'
                    then 'loaded_at is in the future'
                when actual is not null and label_loaded_at is null
                    then 'actual is known, but label_loaded_at is null'
                when count(*) over (partition by prediction_id) > 1
                    then 'prediction_id occurs twice'
            end as problem

        from {{ predictions_of(monitor) | indent(8) }}

        where loaded_at is null or loaded_at >= now() - interval '2 days'
    ) as new_rows

    where problem is not null

    group by problem
{%- endset -%}
{{ monitor.name }}_problems as (

    select
        '{{ monitor.name }}' as monitor,
        found_problems.*

    from {{ guarded_rows(monitor, 'found_problems', {
        'problem': 'text', 'row_count': 'bigint', 'example': 'text',
    }, found_problems) | indent(4) }}

    -- A row of nulls says that the log could not be read.
    where found_problems.problem is not null

),

{% endfor -%}

{{ union_of_monitors('problems', 'problems') }}

select * from problems
