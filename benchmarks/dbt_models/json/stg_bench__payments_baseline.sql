{{ staged_json_baseline('payments') }}
