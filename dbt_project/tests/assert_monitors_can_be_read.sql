{#-
    Monitors that the last run could not read. A warning: the other monitors are fresh,
    and what comes after them, such as checks and alerts, must go on.
-#}
{{ config(severity='warn') }}

select monitor, unreadable_since, reason

from {{ ref('monitors') }}

where unreadable_since is not null
