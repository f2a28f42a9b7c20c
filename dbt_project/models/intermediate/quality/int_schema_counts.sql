{{
    config(
        meta={'family': 'columns'},
        indexes=[{
            'columns': [
                'monitor',
                'window_start',
                'grain',
                'model_version',
                'segment',
                'segment_value',
                'kind',
                'column_name',
            ],
            'unique': true,
        }]
    )
}}

with

{% for monitor in monitors() -%}
{%- set segments = monitor.column_segments -%}
{%- set selected = segment_values(segments) -%}
{%- for name in ['missing_features', 'unknown_features'] -%}
    {%- do selected.append({
        'name': name,
        'expression': optional_column(monitor, name, 'text[]'),
    }) -%}
{%- endfor -%}
{{ monitor.name }}_rows as (

    {{ monitored_rows(
        monitor,
        'columns',
        selected,
        include_baseline=baseline_has_column(monitor, 'missing_features')
            and baseline_has_column(monitor, 'unknown_features')
    ) }}

),

-- Rows of a window have few sets of features: the lists are opened once for each set.
{{ monitor.name }}_sets as (

    select
        grain,
        window_start,
        model_version,
        {{ segment_keys(segments) | indent(8) }},
        missing_features,
        unknown_features,
        count(*) as row_count

    from {{ monitor.name }}_rows

    where missing_features is not null or unknown_features is not null

    {{ segment_grouping_sets(segments, [
        'grain', 'window_start', 'model_version', 'missing_features', 'unknown_features'
    ]) }}

),

{{ monitor.name }}_names as (

    select
        sets.grain,
        sets.window_start,
        sets.model_version,
        sets.segment,
        sets.segment_value,
        'missing' as kind,
        names.name as column_name,
        sum(sets.row_count) as row_count

    from {{ monitor.name }}_sets as sets

    cross join lateral (
        select distinct listed.name
        from unnest(sets.missing_features) as listed (name)
        where
            listed.name in (
                {%- for feature in monitor.features %}
                '{{ feature.name }}'{{ ',' if not loop.last }}
                {%- endfor %}
            )
    ) as names

    group by
        sets.grain,
        sets.window_start,
        sets.model_version,
        sets.segment,
        sets.segment_value,
        names.name

    union all

    select
        sets.grain,
        sets.window_start,
        sets.model_version,
        sets.segment,
        sets.segment_value,
        'unknown' as kind,
        names.name as column_name,
        sum(sets.row_count) as row_count

    from {{ monitor.name }}_sets as sets

    -- What is named like a monitored column is another column all the same.
    cross join lateral (
        select distinct
            case
                when listed.name in (
                    {%- for column in monitor.columns %}
                    '{{ column.name }}',
                    {%- endfor %}
                    'actual',
                    'prediction_id',
                    '(all features)'
                ) then '(unknown) ' || listed.name
                else {{ key_text('listed.name') | indent(16) }}
            end as name
        from unnest(sets.unknown_features) as listed (name)
        where listed.name is not null
    ) as names

    group by
        sets.grain,
        sets.window_start,
        sets.model_version,
        sets.segment,
        sets.segment_value,
        names.name

    union all

    select
        grain,
        window_start,
        model_version,
        segment,
        segment_value,
        'checked' as kind,
        'all' as column_name,
        sum(row_count) as row_count

    from {{ monitor.name }}_sets

    group by grain, window_start, model_version, segment, segment_value

),

{{ monitor.name }}_ranked as (

    select
        *,
        row_number() over (
            partition by
                grain, window_start, model_version, segment, segment_value, kind
            order by row_count desc, column_name collate "C"
        ) as name_rank

    from {{ monitor.name }}_names

),

-- Names can be as many as rows, where somebody logs identifiers as names. Fifty of a
-- window are kept; of the others it is known that at least so many rows had some.
{{ monitor.name }}_kept as (

    select
        grain,
        window_start,
        model_version,
        segment,
        segment_value,
        kind,
        row_count,
        case
            when kind = 'unknown' and name_rank > 50 then '(other)'
            else column_name
        end as kept_name

    from {{ monitor.name }}_ranked

),

{{ monitor.name }}_schema_counts as (

    select
        '{{ monitor.name }}' as monitor,
        grain,
        window_start,
        model_version,
        segment,
        segment_value,
        kind,
        kept_name as column_name,
        max(row_count)::bigint as row_count

    from {{ monitor.name }}_kept

    group by
        grain, window_start, model_version, segment, segment_value, kind, kept_name

),

{% endfor -%}

{{ union_of_monitors('schema_counts', 'schema_counts') }}

select * from schema_counts
