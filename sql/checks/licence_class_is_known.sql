-- Licences of a class that the law in force does not name: nobody is reminded of them.
--
-- private:  licence_class
-- severity: warn
with
licences as (select * from staging.driving_licences),
terms as (select * from law.driving_licence_term)

select licences.licence_class, count(*) as licences
from licences
left join terms on terms.key = licences.licence_class
where terms.key is null and licences.licence_class not in ('A1', 'A', 'B1')
group by licences.licence_class
