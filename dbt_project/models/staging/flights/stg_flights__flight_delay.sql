{{ staged_json_predictions('flight_delay') }}
