{{ staged_json_baseline('flight_delay') }}
