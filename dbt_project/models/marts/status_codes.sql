{{
    config(
        meta={'family': 'traffic'},
        indexes=[
            {
                'columns': [
                    'monitor',
                    'grain',
                    'window_start',
                    'model_version',
                    'segment',
                    'segment_value',
                    'status_code',
                ],
                'unique': true,
            },
            {'columns': ['grain', 'window_start']},
        ]
    )
}}

with

rolled_up_codes as (

    {{ rolled_up(ref('int_status_codes'), 'traffic', [
        'segment',
        'segment_value',
        'status_code',
        'request_count',
        'error_count',
    ]) }}

),

codes as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        status_code,
        sum(request_count)::bigint as request_count,
        sum(error_count)::bigint as error_count

    from rolled_up_codes

    group by
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        status_code

),

classified as (

    select
        monitor,
        model_version,
        segment,
        segment_value,
        grain,
        window_start,
        window_end,
        status_code,
        case
            when status_code = '(none)' then '(none)'
            when status_code ~ '^[2-5][0-9][0-9]$' then left(status_code, 1) || 'xx'
            else 'other'
        end as error_class,
        request_count,
        error_count,
        (
            request_count
            / sum(request_count) over (
                partition by
                    monitor,
                    model_version,
                    segment,
                    segment_value,
                    grain,
                    window_start
            )
        )::double precision as share

    from codes

)

select * from classified
