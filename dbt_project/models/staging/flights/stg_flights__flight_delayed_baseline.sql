{{ staged_json_baseline('flight_delayed') }}
