state = /a b = é # c
workspace = /srv/a b:ro
