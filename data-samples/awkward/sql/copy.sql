-- It writes a file.
copy register.stays to 'stays.csv'
