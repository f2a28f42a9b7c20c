{{ staged_json_predictions('payments') }}
